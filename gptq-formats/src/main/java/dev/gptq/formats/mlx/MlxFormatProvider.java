package dev.gptq.formats.mlx;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.FormatProvider;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;

/** The format {@code mlx}. */
public final class MlxFormatProvider implements FormatProvider {
  @Override
  public ImmutableList<Format> formats() {
    return ImmutableList.of(new MlxFormat());
  }

  @Override
  public boolean reads(String method) {
    return method.equals(MlxFormat.ID);
  }

  @Override
  public Checkpoint split(Checkpoint checkpoint) {
    return MlxExperts.split(checkpoint);
  }

  @Override
  public boolean has(Checkpoint checkpoint, String module) {
    return MlxReader.has(checkpoint, module);
  }

  @Override
  public PackedModules open(JsonConfig settings, Checkpoint checkpoint) {
    return new MlxModules(MlxSettings.read(settings), settings.json(), checkpoint);
  }
}
