package dev.gptq.quantizer.store;

import dev.gptq.quantizer.pipeline.KeptRows;
import dev.gptq.quantizer.tune.TuningStates;
import java.util.List;
import java.util.OptionalInt;

/** Where the tuning of a run stands, in its work folder; as often as {@link StateFolder} says. */
public final class TuningFolder implements TuningStates {
  private final StateFolder files;

  TuningFolder(StateFolder files) {
    this.files = files;
  }

  @Override
  public OptionalInt newest() {
    return files.newest(Integer.MAX_VALUE);
  }

  @Override
  public boolean load(int looks, List<? extends KeptRows> state) {
    return files.load(looks, state);
  }

  @Override
  public void put(int looks, List<? extends KeptRows> state) {
    files.put(looks, state, () -> {});
  }
}
