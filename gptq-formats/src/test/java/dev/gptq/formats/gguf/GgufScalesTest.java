package dev.gptq.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class GgufScalesTest {
  private static final int ROWS = 2;
  private static final int COLUMNS = 512;

  private static GgufStored matrix(String name, GgufType type, MemorySegment data) {
    long rows = data.byteSize() / type.bytes(COLUMNS);
    return new GgufStored(
        name, type, ImmutableList.of(rows, (long) COLUMNS), Path.of("x"), () -> data);
  }

  private static float[] floats(GgufStored stored) {
    StoredTensor decoded = stored.decoded("x").once();
    float[] floats = new float[(int) decoded.elements()];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = Elements.get(decoded, i);
    }
    return floats;
  }

  /** Random blocks of which all float16 numbers are a half. */
  private static MemorySegment blocks(GgufType type) {
    Random random = new Random(7);
    MemorySegment data = Arena.ofAuto().allocate(ROWS * type.bytes(COLUMNS), 8);
    byte[] bytes = new byte[(int) data.byteSize()];
    random.nextBytes(bytes);
    MemorySegment.copy(MemorySegment.ofArray(bytes), 0, data, 0, bytes.length);
    for (long at = 0; at < data.byteSize(); at += type.bytes(type.block())) {
      for (int place : GgufScales.places(type)) {
        data.set(Elements.HALF, at + place, Float.floatToFloat16(0.5f));
      }
    }
    return data;
  }

  @ParameterizedTest
  @EnumSource(
      names = {"F32", "F16", "BF16", "MXFP4"},
      mode = EnumSource.Mode.EXCLUDE)
  void rowsHaveFactorsOfTheirOwn(GgufType type) {
    MemorySegment data = blocks(type);
    float[] before = floats(matrix("x", type, data));
    GgufScales.multiply(data, type, COLUMNS, row -> row == 0 ? 1 : -4);
    float[] after = floats(matrix("x", type, data));
    for (int i = 0; i < after.length; i++) {
      assertThat(after[i]).isEqualTo(i < COLUMNS ? before[i] : -4 * before[i]);
    }
    assertThat(IntStream.range(COLUMNS, before.length)).anyMatch(i -> before[i] != 0);
  }

  /** Runs of columns change places: as codes where they are whole blocks, else decoded. */
  @ParameterizedTest
  @EnumSource(names = {"Q4_0", "Q4_K"})
  void columnsMoveInRuns(GgufType type) {
    GgufStored stored = matrix("x", type, blocks(type));
    float[] before = floats(stored);
    GgufStored moved = stored.withColumns(128, column -> COLUMNS - 128 - column);
    assertThat(moved.isPacked()).isEqualTo(type == GgufType.Q4_0);
    float[] after = floats(moved);
    for (int i = 0; i < after.length; i++) {
      int column = i % COLUMNS;
      int from = COLUMNS - 128 - column / 128 * 128 + column % 128;
      assertThat(after[i]).isEqualTo(before[i - column + from]);
    }
  }

  /** Rows of one type stay codes behind each other; of two types they are decoded. */
  @Test
  void aMatrixIsPutBehindAnother() {
    MemorySegment codes = Arena.ofAuto().allocate(2 * GgufType.Q8_0.bytes(COLUMNS), 8);
    codes.fill((byte) 3);
    GgufStored first = matrix("first", GgufType.Q8_0, codes);
    float[] halves = new float[COLUMNS];
    halves[1] = 0.5f;
    GgufStored second = matrix("second", GgufType.F32, Elements.toSegment(halves));
    GgufStored alike = first.before(first);
    assertThat(alike.shape()).containsExactly(4L, (long) COLUMNS);
    assertThat(alike.isPacked()).isTrue();
    GgufStored mixed = first.before(second);
    assertThat(mixed.shape()).containsExactly(3L, (long) COLUMNS);
    assertThat(mixed.isPacked()).isFalse();
    float[] all = floats(mixed);
    assertThat(all[0]).isEqualTo(floats(first)[0]);
    assertThat(all[2 * COLUMNS + 1]).isEqualTo(0.5f, within(0f));
  }
}
