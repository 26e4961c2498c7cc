package dev.gptq.quantizer.observe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class HessianFolderTest {
  /** More rows than one piece of the file takes. */
  private static final int COLUMNS = 2100;

  @TempDir private Path root;
  private Backend backend;
  private TensorScope scope;
  private HessianFolder folder;
  private Path file;

  @BeforeEach
  void open() {
    backend = new ReferenceBackendProvider().open(BackendOptions.defaults());
    scope = backend.newScope();
    folder = new HessianFolder(root.resolve("hessians"));
    file = root.resolve("hessians/hessian-00003-00001");
  }

  @AfterEach
  void close() {
    scope.close();
    backend.close();
  }

  private Tensor put() {
    float[] values = new float[COLUMNS * COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
      for (int j = 0; j < COLUMNS; j++) {
        values[i * COLUMNS + j] = Math.min(i, j) + 0.001f * Math.max(i, j);
      }
    }
    Tensor matrix =
        scope.upload(MemorySegment.ofArray(values), DType.F32, COLUMNS, COLUMNS, Layout.ROW_MAJOR);
    folder.put(3, 1, Hessian.of(backend, matrix, 77));
    return matrix;
  }

  @Test
  void whatWasPutIsFound() {
    Tensor matrix = put();
    Hessian found = folder.find(3, 1, backend, scope).orElseThrow();
    assertThat(found.tokens()).isEqualTo(77);
    assertThat(HostCopies.floats(found.matrix())).isEqualTo(HostCopies.floats(matrix));
    assertThat(folder.find(3, 0, backend, scope)).isEmpty();
    folder.delete(3, 1);
    assertThat(folder.find(3, 1, backend, scope)).isEmpty();
  }

  /** As a power cut leaves it, or a disk that forgets. */
  @Test
  void whatIsDamagedIsRefused() throws IOException {
    put();
    long size = Files.size(file);
    for (long at : new long[] {8, 16, 24, size / 2, size - 1}) {
      flip(at);
      assertRefused();
      flip(at);
    }
    assertThat(folder.find(3, 1, backend, scope)).isPresent();
    for (long length : new long[] {size - 1, 20, 0}) {
      try (RandomAccessFile disk = new RandomAccessFile(file.toFile(), "rw")) {
        disk.setLength(length);
      }
      assertRefused();
    }
  }

  private void assertRefused() {
    assertThatThrownBy(() -> folder.find(3, 1, backend, scope))
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContainingAll(file.toString(), "--no-resume");
  }

  private void flip(long at) throws IOException {
    try (RandomAccessFile disk = new RandomAccessFile(file.toFile(), "rw")) {
      disk.seek(at);
      int old = disk.read();
      disk.seek(at);
      disk.write(old ^ 1);
    }
  }

  @Test
  void aDiskThatTakesNothingIsToldWithTheRemedy() throws IOException {
    Files.writeString(root.resolve("hessians"), "in the way");
    assertThatThrownBy(this::put)
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContainingAll("keeping a Hessian of block 3", "the same command");
  }
}
