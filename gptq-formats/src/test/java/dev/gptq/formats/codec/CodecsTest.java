package dev.gptq.formats.codec;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the bits of 8-bit and 4-bit numbers stand for, and parts of tensors. */
class CodecsTest {
  private static final Path FILE = Path.of("model.safetensors");

  @TempDir private Path folder;

  private static StoredTensor bytes(StoredType type, ImmutableList<Long> shape, int... values) {
    byte[] data = new byte[values.length];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) values[i];
    }
    return new StoredTensor("w.weight", type, shape, FILE, MemorySegment.ofArray(data));
  }

  private static StoredTensor floats(ImmutableList<Long> shape, float... values) {
    return new StoredTensor("s", StoredType.F32, shape, FILE, MemorySegment.ofArray(values));
  }

  private static float[] decoded(StoredTensor tensor) {
    return Numbers.floats(tensor);
  }

  private static ImmutableList<Long> shape(long... sizes) {
    ImmutableList.Builder<Long> shape = ImmutableList.builder();
    for (long size : sizes) {
      shape.add(size);
    }
    return shape.build();
  }

  @Test
  void everyKindOfNumberOfE4m3() {
    StoredTensor codes =
        bytes(
            StoredType.F8_E4M3, shape(1, 9), 0x00, 0x01, 0x07, 0x08, 0x38, 0x3c, 0x7e, 0xb8, 0x7f);
    float[] values = decoded(Float8.decode(codes, Optional.empty(), Optional.empty()));
    assertThat(values)
        .containsExactly(0, 0x1p-9f, 7 * 0x1p-9f, 0x1p-6f, 1, 1.5f, 448, -1, Float.NaN);
  }

  @Test
  void everyKindOfNumberOfE5m2() {
    StoredTensor codes = bytes(StoredType.F8_E5M2, shape(1, 6), 0x01, 0x04, 0x3c, 0x3e, 0x7b, 0xfc);
    float[] values = decoded(Float8.decode(codes, Optional.empty(), Optional.empty()));
    assertThat(values).containsExactly(0x1p-16f, 0x1p-14f, 1, 1.5f, 57344, Float.NEGATIVE_INFINITY);
  }

  @Test
  void oneScaleOneForEachRowOrOneForEachBlock() {
    int[] ones = IntStream.generate(() -> 0x38).limit(12).toArray();
    StoredTensor codes = bytes(StoredType.F8_E4M3, shape(3, 4), ones);
    assertThat(decoded(Float8.decode(codes, Optional.of(floats(shape(), 3)), Optional.empty())))
        .containsOnly(3);
    assertThat(
            decoded(
                Float8.decode(codes, Optional.of(floats(shape(3, 1), 1, 2, 3)), Optional.empty())))
        .containsExactly(1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    assertThat(
            decoded(
                Float8.decode(
                    codes,
                    Optional.of(floats(shape(2, 2), 1, 2, 3, 4)),
                    Optional.of(ImmutableList.of(2, 3)))))
        .containsExactly(1, 1, 1, 2, 1, 1, 1, 2, 3, 3, 3, 4);
  }

  @Test
  void scalesMayBePowersOfTwo() {
    StoredTensor codes = bytes(StoredType.F8_E4M3, shape(2, 1), 0x38, 0x38);
    StoredTensor scales = bytes(StoredType.F8_E8M0, shape(2, 1), 127, 120);
    assertThat(decoded(Float8.decode(codes, Optional.of(scales), Optional.empty())))
        .containsExactly(1, 0x1p-7f);
  }

  @Test
  void scalesThatDoNotFitAreRefused() {
    StoredTensor codes = bytes(StoredType.F8_E4M3, shape(2, 2), 0, 0, 0, 0);
    assertThatThrownBy(
            () -> Float8.decode(codes, Optional.of(floats(shape(3), 1, 2, 3)), Optional.empty()))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("weight_block_size")
        .hasMessageContaining("w.weight F8_E4M3 [2, 2]");
  }

  @Test
  void mxfp4HoldsTheFirstOfTwoInTheLowerHalf() {
    int[] codes = new int[16];
    codes[0] = 0x21;
    codes[1] = 0xf7;
    codes[15] = 0x9a;
    float[] values =
        decoded(
            Mxfp4.decode(
                "w",
                bytes(StoredType.U8, shape(1, 1, 16), codes),
                bytes(StoredType.U8, shape(1, 1), 129)));
    assertThat(values).hasSize(32);
    assertThat(values[0]).isEqualTo(2);
    assertThat(values[1]).isEqualTo(4);
    assertThat(values[2]).isEqualTo(24);
    assertThat(values[3]).isEqualTo(-24);
    assertThat(values[4]).isEqualTo(0);
    assertThat(values[30]).isEqualTo(-4);
    assertThat(values[31]).isEqualTo(-2);
  }

  @Test
  void mxfp4WithoutItsScalesIsRefused() {
    assertThatThrownBy(() ->
            Mxfp4.decode(
                "w",
                bytes(StoredType.U8, shape(1, 1, 16), new int[16]),
                bytes(StoredType.U8, shape(1, 2), 127, 127)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("do not belong together");
  }

  @Test
  void partsRowsAndColumns() {
    float[] values = new float[2 * 4 * 3];
    for (int i = 0; i < values.length; i++) {
      values[i] = i;
    }
    StoredTensor second = Slices.part(floats(shape(2, 4, 3), values), 1);
    assertThat(second.shape()).isEqualTo(shape(4, 3));
    assertThat(decoded(second)).startsWith(12, 13, 14, 15);
    assertThat(decoded(Slices.rows(second, 2, 1, 2))).containsExactly(18, 19, 20, 21, 22, 23);
    assertThat(decoded(Slices.rows(second, 1, 2, 2))).containsExactly(15, 16, 17, 21, 22, 23);
    StoredTensor turned = Slices.transposed(second);
    assertThat(turned.shape()).isEqualTo(shape(3, 4));
    assertThat(decoded(turned)).containsExactly(12, 15, 18, 21, 13, 16, 19, 22, 14, 17, 20, 23);
    assertThatThrownBy(() -> Slices.part(second, 4)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> Slices.rows(second, 1, 2, 3))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void float64IsReadAsFloat32() {
    StoredTensor stored =
        new StoredTensor(
            "w", StoredType.F64, shape(1, 2), FILE, MemorySegment.ofArray(new double[] {1.5, -2}));
    StoredTensor narrowed = Numbers.narrowed(stored);
    assertThat(narrowed.type()).isEqualTo(StoredType.F32);
    assertThat(decoded(narrowed)).containsExactly(1.5f, -2);
  }

  private Checkpoint checkpoint() throws IOException {
    try (CheckpointWriter writer =
        CheckpointWriter.create(folder.resolve("model"), WriterOptions.DEFAULT)) {
      byte[] codes = {0x38, 0x38};
      add(writer, "a.weight", StoredType.F8_E4M3, new long[] {1, 2}, MemorySegment.ofArray(codes));
      MemorySegment two = MemorySegment.ofArray(new float[] {2});
      add(writer, "a.weight_scale_inv", StoredType.F32, new long[] {1, 1}, two);
      add(writer, "a.activation_scale", StoredType.F32, new long[] {}, two);
      add(writer, "b.weight", StoredType.F32, new long[] {1}, two);
      byte[] pairs = new byte[32];
      pairs[0] = 0x21;
      pairs[16] = 0x21;
      add(writer, "c.weight", StoredType.I8, new long[] {1, 32}, MemorySegment.ofArray(pairs));
      MemorySegment powers = MemorySegment.ofArray(new byte[] {127, 126});
      add(writer, "c.scale", StoredType.F8_E8M0, new long[] {1, 2}, powers);
      writer.commit();
    }
    return Checkpoint.open(folder.resolve("model"));
  }

  private static void add(
      CheckpointWriter writer, String name, StoredType type, long[] shape, MemorySegment data)
      throws IOException {
    writer.add(name, type, shape, data);
  }

  private JsonConfig config(String quantization) throws IOException {
    Path file = folder.resolve("config.json");
    Files.writeString(file, "{\"quantization_config\": " + quantization + "}");
    return JsonConfig.read(file);
  }

  @Test
  void decodedCheckpointsShowNoScales() throws IOException {
    Sources sources = Sources.find(config("{\"quant_method\": \"fp8\"}")).orElseThrow();
    try (Checkpoint stored = checkpoint()) {
      Checkpoint seen = sources.decoded(stored);
      assertThat(seen.names()).containsExactlyInAnyOrder("a.weight", "b.weight", "c.weight");
      assertThat(seen.inFiles()).hasSize(6);
      assertThat(decoded(seen.require("a.weight"))).containsExactly(2, 2);
      StoredTensor pairs = seen.require("c.weight");
      assertThat(pairs.shape()).isEqualTo(shape(1, 64));
      assertThat(decoded(pairs)).startsWith(0.5f, 1, 0);
      assertThat(Arrays.copyOfRange(decoded(pairs), 32, 35)).containsExactly(0.25f, 0.5f, 0);
    }
  }

  @Test
  void aMissingScaleIsRefused() throws IOException {
    Sources sources = new Sources(true, Optional.empty());
    assertThatThrownBy(
            () -> sources.matrix(bytes(StoredType.F8_E4M3, shape(1, 1), 0), Optional.empty()))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("weight_scale_inv");
  }

  @Test
  void whichSettingsAreThoseOfASource() throws IOException {
    assertThat(Sources.find(config("{\"quant_method\": \"gptq\"}"))).isEmpty();
    assertThat(
            Sources.find(
                config(
                    "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\"}")))
        .isEmpty();
    assertThat(Sources.find(config("{\"quant_method\": \"mxfp4\"}")))
        .contains(new Sources(false, Optional.empty()));
    assertThat(
            Sources.find(config("{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 64]}")))
        .contains(new Sources(true, Optional.of(ImmutableList.of(128, 64))));
    assertThat(
            Sources.find(
                config(
                    """
                    {"quant_method": "compressed-tensors", "format": "float-quantized",
                     "config_groups": {"group_0": {"weights": {"block_structure": [128, 32]}}}}
                    """)))
        .contains(new Sources(true, Optional.of(ImmutableList.of(128, 32))));
    assertThatThrownBy(
            () -> Sources.find(config("{\"quant_method\": \"fp8\", \"weight_block_size\": [128]}")))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("blocks of [128]");
  }
}
