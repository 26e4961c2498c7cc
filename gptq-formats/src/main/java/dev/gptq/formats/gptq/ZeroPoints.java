package dev.gptq.formats.gptq;

import dev.gptq.formats.gptq.GptqConfig.Version;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.pack.BitStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.function.IntUnaryOperator;

/**
 * Zero points of a module.
 *
 * @param fixed whether all are {@code 2^(b−1)}
 * @param values float32, groups × outputs
 * @param warning what the file claims wrongly
 */
record ZeroPoints(boolean fixed, MemorySegment values, Optional<String> warning) {

  /**
   * Reads {@code qzeros}. A symmetric module has the same zero point everywhere, so a file that
   * claims the wrong version is recognised by its fields and read as what it is.
   */
  static ZeroPoints read(
      StoredTensor qzeros, int outputs, ModuleSettings settings, GptqConfig config) {
    int bits = settings.bits();
    int middle = 1 << (bits - 1);
    Version claimed = config.format();
    Version other = claimed == Version.V1 ? Version.V2 : Version.V1;
    float[] zeros = zeros(qzeros, outputs, bits, claimed, config);
    Optional<String> warning = Optional.empty();
    if (settings.sym() && !all(zeros, middle)) {
      float[] others = zeros(qzeros, outputs, bits, other, config);
      if (all(others, middle)) {
        zeros = others;
        warning =
            Optional.of(
                "%s: tensor '%s' claims format %s but holds the zero points of %s; read as %s"
                    .formatted(qzeros.file(), qzeros.name(), claimed.id(), other.id(), other.id()));
      }
    }
    return new ZeroPoints(all(zeros, middle), Elements.toSegment(zeros), warning);
  }

  private static float[] zeros(
      StoredTensor qzeros, int outputs, int bits, Version version, GptqConfig config) {
    if (version == Version.V2) {
      return fields(qzeros.data(), qzeros, outputs, bits, field -> field);
    }
    if (config.subtractsWords() && 32 % bits == 0) {
      return fields(addOnes(qzeros, bits), qzeros, outputs, bits, field -> field);
    }
    int mask = (1 << bits) - 1;
    return fields(qzeros.data(), qzeros, outputs, bits, field -> (field + 1) & mask);
  }

  /** Adds 1 to the lowest field of each word, to the next one, …: undoes borrows between fields. */
  private static MemorySegment addOnes(StoredTensor qzeros, int bits) {
    int ones = Integer.divideUnsigned(-1, (1 << bits) - 1);
    MemorySegment sums = Arena.ofAuto().allocate(qzeros.data().byteSize(), 4);
    for (long i = 0; i < qzeros.elements(); i++) {
      sums.setAtIndex(Elements.INT, i, qzeros.data().getAtIndex(Elements.INT, i) + ones);
    }
    return sums;
  }

  private static float[] fields(
      MemorySegment words, StoredTensor qzeros, int outputs, int bits, IntUnaryOperator zeroOf) {
    int groups = qzeros.rows();
    long rowBytes = 4L * qzeros.columns();
    float[] zeros = new float[Math.multiplyExact(groups, outputs)];
    for (int g = 0; g < groups; g++) {
      MemorySegment row = words.asSlice(g * rowBytes, rowBytes);
      rowFields(row, bits, zeroOf, zeros, g * outputs, outputs);
    }
    return zeros;
  }

  private static void rowFields(
      MemorySegment row, int bits, IntUnaryOperator zeroOf, float[] zeros, int from, int count) {
    for (int o = 0; o < count; o++) {
      zeros[from + o] = zeroOf.applyAsInt(BitStream.get(row, 1, 0, o, bits));
    }
  }

  private static boolean all(float[] zeros, int value) {
    for (float zero : zeros) {
      if (zero != value) {
        return false;
      }
    }
    return true;
  }
}
