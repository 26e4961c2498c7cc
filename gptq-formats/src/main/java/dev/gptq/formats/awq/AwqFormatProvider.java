package dev.gptq.formats.awq;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.FormatProvider;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;

/** The format {@code awq}. */
public final class AwqFormatProvider implements FormatProvider {
  @Override
  public ImmutableList<Format> formats() {
    return ImmutableList.of(new AwqFormat());
  }

  @Override
  public boolean reads(String method) {
    return method.equalsIgnoreCase(AwqFormat.ID);
  }

  @Override
  public boolean has(Checkpoint checkpoint, String module) {
    return AwqReader.has(checkpoint, module);
  }

  @Override
  public PackedModules open(JsonConfig settings, Checkpoint checkpoint) {
    return new AwqModules(AwqSettings.read(settings), settings.json(), checkpoint);
  }
}
