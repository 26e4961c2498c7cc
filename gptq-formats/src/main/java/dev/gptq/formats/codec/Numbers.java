package dev.gptq.formats.codec;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Real numbers of other types than weights have. */
public final class Numbers {
  /** The exponent that a number of type E8M0 stands for is less by so much. */
  private static final int BIAS = 127;

  private Numbers() {}

  /** {@code 2^(code − 127)}: a number of type E8M0. */
  static float powerOfTwo(int code) {
    return code == 0xff ? Float.NaN : (float) Math.scalb(1.0, code - BIAS);
  }

  /** All elements of a small tensor. */
  static float[] floats(StoredTensor tensor) {
    MemorySegment data = tensor.data();
    float[] values = new float[Math.toIntExact(tensor.elements())];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          switch (tensor.type()) {
            case F32 -> data.getAtIndex(Computed.FLOAT, i);
            case F16 -> Float.float16ToFloat(data.getAtIndex(Computed.HALF, i));
            case BF16 -> Float.intBitsToFloat(data.getAtIndex(Computed.HALF, i) << 16);
            case F64 -> (float) data.getAtIndex(Computed.DOUBLE, i);
            case F8_E8M0, U8 -> powerOfTwo(data.get(ValueLayout.JAVA_BYTE, i) & 0xff);
            default ->
                throw new BadInputException(
                    "%s: tensor %s should hold scales".formatted(tensor.file(), tensor.describe()));
          };
    }
    return values;
  }

  /** A tensor of float64 as float32. */
  public static StoredTensor narrowed(StoredTensor tensor) {
    int columns = tensor.shape().isEmpty() ? 1 : Math.toIntExact(tensor.shape().getLast());
    int rows = columns == 0 ? 0 : Math.toIntExact(tensor.elements() / columns);
    return StoredTensor.computed(
        tensor.name(),
        StoredType.F32,
        tensor.shape(),
        tensor.file(),
        () -> {
          MemorySegment from = tensor.data();
          return Computed.segment(
              rows,
              (long) Float.BYTES * columns,
              (row, to) -> {
                for (int c = 0; c < columns; c++) {
                  double value = from.getAtIndex(Computed.DOUBLE, (long) row * columns + c);
                  to.setAtIndex(Computed.FLOAT, c, (float) value);
                }
              });
        });
  }
}
