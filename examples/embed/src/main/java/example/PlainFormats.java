package example;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.FormatProvider;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;

/** Brings a format that is written for another program, and not read back. */
public class PlainFormats implements FormatProvider {
  @Override
  public ImmutableList<Format> formats() {
    return ImmutableList.of(new PlainFormat());
  }

  @Override
  public boolean reads(String method) {
    return method.equals("plain");
  }

  @Override
  public boolean has(Checkpoint checkpoint, String module) {
    return checkpoint.find(module + ".codes").isPresent();
  }

  @Override
  public PackedModules open(JsonConfig settings, Checkpoint checkpoint) {
    throw new BadInputException(settings.file() + ": the format plain is only written");
  }
}
