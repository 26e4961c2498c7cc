package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import java.util.Collections;

/** Numbers of blocks that a file lists, as the tensors that a checkpoint has of them. */
final class BlockNumbers {
  private BlockNumbers() {}

  /** Tensors of one element by their names in a checkpoint. */
  static ImmutableMap<String, StoredTensor> of(GgufFile file, GgufFamily family) {
    ImmutableMap.Builder<String, StoredTensor> tensors = ImmutableMap.builder();
    int blocks = file.values().integer(family.architecture() + ".block_count").orElse(0);
    for (GgufFamily.Setting setting : family.numbers()) {
      ImmutableList<Number> numbers = list(file, setting.key(), blocks);
      if (numbers.size() != blocks) {
        throw new BadInputException(
            "%s: '%s' has %d values for %d blocks; download the file again"
                .formatted(file.file(), setting.key(), numbers.size(), blocks));
      }
      for (int block = 0; block < blocks; block++) {
        float number = numbers.get(block).floatValue();
        String name = family.layers() + block + "." + setting.name();
        tensors.put(
            name,
            new StoredTensor(
                name,
                StoredType.F32,
                ImmutableList.of(1L),
                file.file(),
                Elements.toSegment(new float[] {number})));
      }
    }
    return tensors.buildOrThrow();
  }

  /** One number is that of all blocks. */
  private static ImmutableList<Number> list(GgufFile file, String key, int blocks) {
    if (file.values().isList(key)) {
      return file.values().numbers(key).orElseThrow();
    }
    Number one =
        file.values()
            .number(key)
            .orElseThrow(
                () -> new BadInputException("%s: '%s' is missing".formatted(file.file(), key)));
    return ImmutableList.copyOf(Collections.nCopies(blocks, one));
  }
}
