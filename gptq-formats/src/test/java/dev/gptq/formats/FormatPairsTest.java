package dev.gptq.formats;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Matrices of any width, shape and groups that two formats hold: what is written in one, read,
 * written in the other and read again has the same codes, scales and zero points.
 */
final class FormatPairsTest {
  private static final int DRAWS = 2;

  @TempDir private Path folder;

  private int files;
  private final SplittableRandom random = new SplittableRandom(16);

  @Test
  void nothingIsLostBetweenAnyTwoFormats() throws IOException {
    for (Format first : Formats.all()) {
      for (Format second : Formats.all()) {
        if (!first.id().equals(second.id())) {
          for (int draw = 0; draw < DRAWS; draw++) {
            PackedMatrix matrix = drawn(first, second);
            PackedMatrix there = throughFile(first, matrix);
            requireSame(first.id() + " to " + second.id(), matrix, throughFile(second, there));
          }
        }
      }
    }
  }

  private PackedMatrix drawn(Format first, Format second) {
    for (int tries = 0; tries < 10_000; tries++) {
      Scheme scheme = random.nextBoolean() ? Scheme.SYMMETRIC : Scheme.ASYMMETRIC;
      int bits = random.nextInt(2, 9);
      int rows = random.nextInt(1, 41);
      boolean odd = random.nextBoolean();
      int group = odd ? random.nextInt(1, 40) : 32 * random.nextInt(1, 5);
      int columns = group * random.nextInt(1, 4);
      PackedMatrix matrix =
          exact(
              RandomMatrices.of(
                  scheme, bits, rows, columns, random.nextInt(4) == 0 ? -1 : group, false, tries),
              Math.max(first.leastZero(), second.leastZero()));
      ModuleSettings settings = ModuleSettings.of(matrix);
      if (first.refusal(settings, rows, columns).isEmpty()
          && second.refusal(settings, rows, columns).isEmpty()) {
        return matrix;
      }
    }
    throw new AssertionError(
        "no matrix that both %s and %s hold".formatted(first.id(), second.id()));
  }

  /** With scales of three bits, whose products with any zero point are exact in float16. */
  private PackedMatrix exact(PackedMatrix matrix, int leastZero) {
    float[] scales = new float[matrix.groups() * matrix.rows()];
    float[] zeros = new float[scales.length];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = random.nextInt(1, 8) * 0x1p-10f;
      zeros[i] = random.nextInt(leastZero, 1 << matrix.bits());
    }
    return new PackedMatrix(
        matrix.scheme(),
        matrix.bits(),
        matrix.rows(),
        matrix.columns(),
        matrix.groups(),
        matrix.words(),
        Elements.toSegment(scales),
        matrix.zeros().map(_ -> MemorySegment.ofArray(zeros)),
        matrix.groupOf());
  }

  private PackedMatrix throughFile(Format format, PackedMatrix matrix) throws IOException {
    Path written =
        FormatTests.write(format, matrix, StoredType.F16, folder.resolve("file-" + files++));
    try (Checkpoint checkpoint = Checkpoint.open(written)) {
      PackedMatrix read = FormatTests.open(written, checkpoint).read(FormatTests.MODULE).matrix();
      // The mapping ends with the checkpoint.
      return new PackedMatrix(
          read.scheme(),
          read.bits(),
          read.rows(),
          read.columns(),
          read.groups(),
          MemorySegment.ofArray(read.words().toArray(Elements.INT)),
          MemorySegment.ofArray(read.scales().toArray(Elements.FLOAT)),
          read.zeros().map(zeros -> MemorySegment.ofArray(zeros.toArray(Elements.FLOAT))),
          read.groupOf());
    }
  }

  private static void requireSame(String what, PackedMatrix expected, PackedMatrix actual) {
    String shape =
        "%s, %s, %d bits, %d x %d"
            .formatted(
                what, expected.scheme(), expected.bits(), expected.rows(), expected.columns());
    assertThat(actual.bits()).as(shape).isEqualTo(expected.bits());
    assertThat(actual.rows()).as(shape).isEqualTo(expected.rows());
    assertThat(actual.columns()).as(shape).isEqualTo(expected.columns());
    for (int o = 0; o < expected.rows(); o++) {
      for (int i = 0; i < expected.columns(); i++) {
        int g = expected.group(i);
        int h = actual.group(i);
        boolean same =
            actual.code(o, i) == expected.code(o, i)
                && actual.scale(o, h) == expected.scale(o, g)
                && actual.zero(o, h) == expected.zero(o, g);
        assertThat(same).as("%s, row %d, column %d", shape, o, i).isTrue();
      }
    }
  }
}
