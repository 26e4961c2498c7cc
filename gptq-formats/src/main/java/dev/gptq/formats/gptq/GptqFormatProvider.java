package dev.gptq.formats.gptq;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.gptq.GptqConfig.Version;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.FormatProvider;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;

/** The formats {@code gptq} and {@code gptq_v2}. */
public final class GptqFormatProvider implements FormatProvider {
  @Override
  public ImmutableList<Format> formats() {
    return ImmutableList.of(new GptqFormat(Version.V1), new GptqFormat(Version.V2));
  }

  @Override
  public boolean reads(String method) {
    return method.equalsIgnoreCase("gptq");
  }

  @Override
  public boolean has(Checkpoint checkpoint, String module) {
    return GptqTensors.has(checkpoint, module);
  }

  @Override
  public PackedModules open(JsonConfig settings, Checkpoint checkpoint) {
    return new GptqModules(GptqConfig.of(settings), settings.json(), checkpoint);
  }
}
