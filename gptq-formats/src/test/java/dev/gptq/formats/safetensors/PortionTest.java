package dev.gptq.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

final class PortionTest {
  private static StoredTensor stored(int size) {
    return new StoredTensor(
        "stored", StoredType.U8, shape(size), Path.of("file"), MemorySegment.ofArray(bytes(size)));
  }

  private static StoredTensor computed(int size) {
    return StoredTensor.computed(
        "computed",
        StoredType.U8,
        shape(size),
        Path.of("file"),
        () -> MemorySegment.ofArray(bytes(size)));
  }

  private static ImmutableList<Long> shape(int size) {
    return ImmutableList.of((long) size);
  }

  private static byte[] bytes(int size) {
    return new byte[size];
  }

  private static List<String> portions(StoredTensor... tensors) {
    return Portion.of(List.of(tensors), 100).stream()
        .map(portion ->
            portion.parts().stream()
                .map(part -> part.tensor().name().charAt(0) + " " + part.from() + "-" + part.to())
                .toList()
                .toString())
        .toList();
  }

  @Test
  void whatLiesInAFileIsCut() {
    assertThat(portions(stored(30), stored(250), stored(0)))
        .containsExactly("[s 0-30, s 0-70]", "[s 70-170]", "[s 170-250, s 0-0]");
  }

  @Test
  void whatIsComputedIsComputedOnce() {
    assertThat(portions(computed(130), stored(10), computed(60), computed(30), computed(1)))
        .containsExactly("[c 0-130]", "[s 0-10, c 0-60, c 0-30]", "[c 0-1]");
  }

  @Test
  void nothingIsNoPortion() {
    assertThat(portions()).isEmpty();
  }
}
