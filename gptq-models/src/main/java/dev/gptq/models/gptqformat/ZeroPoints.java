package dev.gptq.models.gptqformat;

import dev.gptq.models.gptqformat.GptqConfig.Version;
import dev.gptq.models.safetensors.StoredTensor;
import dev.gptq.pack.BitStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Zero points of a module.
 *
 * @param fixed whether all are {@code 2^(b−1)}
 * @param values float32, groups × outputs
 * @param warning what the file claims wrongly
 */
record ZeroPoints(boolean fixed, MemorySegment values, Optional<String> warning) {

  static ZeroPoints read(
      StoredTensor qzeros, int outputs, ModuleSettings settings, GptqConfig config) {
    int[] fields = fields(qzeros, outputs, settings.bits());
    int middle = 1 << (settings.bits() - 1);
    Version claimed = config.format();
    Version actual = claimed;
    if (settings.sym() && all(fields, claimed == Version.V1 ? middle : middle - 1)) {
      actual = claimed == Version.V1 ? Version.V2 : Version.V1;
    }
    int mask = (1 << settings.bits()) - 1;
    MemorySegment values = Arena.ofAuto().allocate(4L * fields.length, 4);
    boolean fixed = true;
    for (int i = 0; i < fields.length; i++) {
      // A writer that wraps each field stores a zero point of 0 as 2^b - 1.
      int zero = actual == Version.V1 ? (fields[i] + 1) & mask : fields[i];
      fixed &= zero == middle;
      values.setAtIndex(Halves.FLOAT, i, zero);
    }
    return new ZeroPoints(
        fixed,
        values,
        actual == claimed
            ? Optional.empty()
            : Optional.of(
                "%s: tensor '%s' claims format %s but holds the zero points of %s; read as %s"
                    .formatted(
                        qzeros.file(), qzeros.name(), claimed.id(), actual.id(), actual.id())));
  }

  private static int[] fields(StoredTensor qzeros, int outputs, int bits) {
    int groups = qzeros.rows();
    long rowBytes = 4L * qzeros.columns();
    int[] fields = new int[Math.multiplyExact(groups, outputs)];
    for (int g = 0; g < groups; g++) {
      MemorySegment row = qzeros.data().asSlice(g * rowBytes, rowBytes);
      for (int o = 0; o < outputs; o++) {
        fields[g * outputs + o] = BitStream.get(row, 1, 0, o, bits);
      }
    }
    return fields;
  }

  private static boolean all(int[] fields, int value) {
    for (int field : fields) {
      if (field != value) {
        return false;
      }
    }
    return true;
  }
}
