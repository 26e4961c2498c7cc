package dev.gptq.quantizer.run;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.Model;
import dev.gptq.models.family.Parameters;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.LongStream;

/**
 * Whether the tensors that stay as they are hold numbers: embeddings, norms, biases, the output
 * layer. Modules that are quantized are looked at when their turn comes. All of these are read
 * before the work begins, since nothing would look at a final norm until the checkpoint is used.
 */
final class FiniteTensors {
  /**
   * Bytes that are copied out of a mapped file at once: few, as a start has no compiled code yet,
   * and what is called often is compiled sooner than a long loop.
   */
  private static final int PIECE = 1 << 16;

  private FiniteTensors() {}

  /**
   * Throws for the first tensor with NaN or infinite elements.
   *
   * @param selection modules that are quantized, by full name
   */
  static void require(Model model, Predicate<String> selection) {
    for (Map.Entry<String, Parameters.Parameter> tensor :
        Parameters.of(model.spec()).tensors().entrySet()) {
      String name = tensor.getKey();
      boolean quantized =
          tensor.getValue().linear().isPresent() && selection.test(Parameters.module(name));
      if (!quantized) {
        StoredTensor stored = model.checkpoint().require(name);
        long count = nonFinite(stored);
        if (count > 0) {
          throw new BadInputException(
              "%s: tensor %s has %d NaN or infinite numbers; the checkpoint is damaged, download it again"
                  .formatted(stored.file(), name, count));
        }
      }
    }
  }

  /** Number of elements of a tensor of a real type that are NaN or infinite. */
  static long nonFinite(StoredTensor tensor) {
    DType type = tensor.type().toDType().orElseThrow();
    MemorySegment data = tensor.data();
    long size = data.byteSize();
    return LongStream.range(0, (size + PIECE - 1) / PIECE)
        .parallel()
        .map(piece ->
            nonFinite(data.asSlice(piece * PIECE, Math.min(PIECE, size - piece * PIECE)), type))
        .sum();
  }

  private static long nonFinite(MemorySegment piece, DType type) {
    return switch (type) {
      case F32 -> {
        int count = 0;
        for (int bits : piece.toArray(ValueLayout.JAVA_INT_UNALIGNED)) {
          count += isSet(bits, 0x7F80_0000);
        }
        yield count;
      }
      case F16 -> nonFinite(piece, 0x7C00);
      case BF16 -> nonFinite(piece, 0x7F80);
      default -> throw new IllegalArgumentException(type + " is not real");
    };
  }

  private static long nonFinite(MemorySegment piece, int exponent) {
    int count = 0;
    for (short bits : piece.toArray(ValueLayout.JAVA_SHORT_UNALIGNED)) {
      count += isSet(bits, exponent);
    }
    return count;
  }

  /** 1 if all bits of the exponent are set. */
  private static int isSet(int bits, int exponent) {
    return (bits & exponent) == exponent ? 1 : 0;
  }
}
