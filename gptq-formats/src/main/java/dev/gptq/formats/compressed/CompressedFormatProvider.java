package dev.gptq.formats.compressed;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.FormatProvider;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;

/** The format {@code compressed-tensors}. */
public final class CompressedFormatProvider implements FormatProvider {
  @Override
  public ImmutableList<Format> formats() {
    return ImmutableList.of(new CompressedFormat());
  }

  @Override
  public boolean reads(String method) {
    return method.equalsIgnoreCase(CompressedFormat.ID);
  }

  @Override
  public boolean has(Checkpoint checkpoint, String module) {
    return CompressedReader.has(checkpoint, module);
  }

  @Override
  public PackedModules open(JsonConfig settings, Checkpoint checkpoint) {
    return new CompressedModules(CompressedSettings.read(settings), settings.json(), checkpoint);
  }
}
