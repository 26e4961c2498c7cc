package dev.gptq.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Each kind of damage to a single file, and what the message says about it. */
class DamagedFileTest {
  @TempDir Path folder;

  static Stream<Arguments> damages() {
    return Stream.of(
        damage("empty file", new byte[0], "0 bytes", "download it again"),
        damage("shorter than the length", new byte[7], "7 bytes", "download it again"),
        damage("absurd length", filled(0xff), "18446744073709551615", "Git LFS"),
        damage("length beyond the limit", length(100_000_001), "100000001", "absurd"),
        damage("length beyond the file", length(100), "header should have 100", "cut short"),
        damage("empty header", length(0), "does not start with '{'", "download it again"),
        damage("no JSON", RawFile.bytes("{\"a\":", 0), "not valid JSON", "download"),
        damage("binary", RawFile.bytes("{\u0000\u0001", 0), "not valid JSON", "download"),
        damage("array", RawFile.bytes("[]", 0), "does not start with '{'", "download"),
        damage("text behind", RawFile.bytes("{} {}", 0), "follows the closing brace", "damaged"),
        damage("deep nesting", RawFile.bytes(nested(), 0), "tensor 'a'", "damaged"),
        damage(
            "deep nesting in metadata",
            RawFile.bytes("{\"__metadata__\":" + "[".repeat(100_000), 0),
            "'__metadata__'",
            "damaged"),
        header("\"F32\",\"shape\":[1]}", "tensor 'a' lacks", "data_offsets"),
        header("\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}", "'F99'", "not supported"),
        header("4,\"shape\":[1],\"data_offsets\":[0,4]}", "tensor 'a'", "dtype in quotes"),
        header("\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}", "needs 8 bytes", "gives it 4"),
        header("\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}", "negative number -1", "shape"),
        header("\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}", "tensor 'a'", "integers"),
        header("\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}", "tensor 'a'", "integers"),
        header("\"F32\",\"shape\":1,\"data_offsets\":[0,4]}", "tensor 'a'", "a list as shape"),
        header(
            "\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,4]}",
            "absurd shape",
            "4611686018427387904"),
        header(
            "\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}",
            "absurd number",
            "shape"),
        header(
            "\"F32\",\"shape\":[" + "1,".repeat(99) + "1],\"data_offsets\":[0,4]}",
            "too many numbers",
            "shape"),
        header("\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}", "[4, 0]", "no range"),
        header("\"F32\",\"shape\":[1],\"data_offsets\":[0]}", "[0]", "no range"),
        header("\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":0}", "unknown key", "'x'"),
        header(
            "\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}",
            "Duplicate",
            "\"shape\""),
        header("\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}", "starts at byte 4", "gap"),
        damage(
            "truncated data",
            Arrays.copyOf(RawFile.bytes(RawFile.TWO_TENSORS, 6), RawFile.TWO_TENSORS.length() + 13),
            "tensor 'b' ends at byte 6",
            "cut short"),
        damage(
            "data behind the last tensor",
            RawFile.bytes(RawFile.TWO_TENSORS, 7),
            "1 bytes follow the last tensor",
            "damaged"),
        damage(
            "overlap",
            RawFile.bytes(RawFile.TWO_TENSORS.replace("[4,6]", "[3,5]"), 6),
            "tensor 'b' starts at byte 3",
            "overlap"),
        damage(
            "gap",
            RawFile.bytes(RawFile.TWO_TENSORS.replace("[4,6]", "[5,7]"), 7),
            "tensor 'a' ends at 4",
            "gap"),
        damage(
            "same name twice",
            RawFile.bytes(RawFile.TWO_TENSORS.replace("\"b\"", "\"a\""), 6),
            "Duplicate",
            "\"a\""),
        damage(
            "range beyond 2^63",
            RawFile.bytes(RawFile.TWO_TENSORS.replace("[4,6]", "[4,9223372036854775808]"), 6),
            "tensor 'b'",
            "absurd number"));
  }

  private static Arguments damage(String kind, byte[] file, String what, String remedy) {
    return Arguments.of(kind, file, what, remedy);
  }

  private static Arguments header(String fromType, String what, String remedy) {
    return damage(fromType, RawFile.bytes("{\"a\":{\"dtype\":" + fromType + "}", 8), what, remedy);
  }

  private static byte[] filled(int value) {
    byte[] bytes = new byte[16];
    Arrays.fill(bytes, (byte) value);
    return bytes;
  }

  private static byte[] length(int length) {
    byte[] bytes = new byte[16];
    for (int i = 0; i < 4; i++) {
      bytes[i] = (byte) (length >>> (8 * i));
    }
    return bytes;
  }

  private static String nested() {
    return "{\"a\":" + "[".repeat(1_000_000) + "]".repeat(1_000_000) + "}";
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("damages")
  void isReported(String kind, byte[] content, String what, String remedy) throws IOException {
    Path file = Files.write(folder.resolve("model.safetensors"), content);
    assertThatThrownBy(() -> Checkpoint.open(folder))
        .as(kind)
        .isInstanceOf(BadInputException.class)
        .hasMessageStartingWith(file.toString())
        .hasMessageContaining(what)
        .hasMessageContaining(remedy);
  }
}
