package dev.gptq.formats.gguf;

import dev.gptq.formats.codec.Mxfp4;
import dev.gptq.formats.packed.Elements;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A block of quantized weights as float32. Each product and sum is rounded where ggml rounds it;
 * products of scales and codes are exact, so only the sums with an offset are rounded at all. What
 * {@link GgufCodes} takes apart is put together here.
 */
final class GgufDecoder {
  private final GgufType type;
  private final GgufCodes codes;

  GgufDecoder(GgufType type) {
    this.type = type;
    this.codes = GgufCodes.reads(type) ? new GgufCodes(type) : null;
  }

  /** Decodes the block that begins at a byte. */
  void block(MemorySegment in, long at, float[] out) {
    if (codes == null) {
      numbers(in, at, out);
      return;
    }
    codes.read(in, at);
    int size = codes.groupSize();
    float zero = codes.zero();
    for (int g = 0; g < codes.groups(); g++) {
      float scale = codes.scale(g);
      float offset = codes.offset(g);
      for (int j = g * size; j < (g + 1) * size; j++) {
        out[j] =
            codes.hasOffsets() ? scale * codes.code(j) - offset : scale * (codes.code(j) - zero);
      }
    }
  }

  private void numbers(MemorySegment in, long at, float[] out) {
    if (type != GgufType.MXFP4) {
      throw new IllegalArgumentException(type + " has no blocks");
    }
    float scale = Mxfp4.scale(in.get(ValueLayout.JAVA_BYTE, at) & 0xff);
    for (int j = 0; j < 16; j++) {
      int both = in.get(ValueLayout.JAVA_BYTE, at + 1 + j) & 0xff;
      out[j] = Mxfp4.number(both) * scale;
      out[j + 16] = Mxfp4.number(both >> 4) * scale;
    }
  }

  /** A float16. */
  static float half(MemorySegment in, long at) {
    return Float.float16ToFloat(in.get(Elements.HALF, at));
  }
}
