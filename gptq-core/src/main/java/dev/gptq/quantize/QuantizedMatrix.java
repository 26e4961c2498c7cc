package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSpec;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.pack.Packer;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/**
 * A quantized weight matrix in a backend's memory, its columns in the stored order.
 *
 * @param codes U8, rows × columns
 * @param grid grids of these columns
 */
public record QuantizedMatrix(Tensor codes, Grid grid) {

  /** Writes the values that the codes stand for into w, F32, rows × columns. */
  public void dequantize(Backend backend, Tensor w) {
    backend.quantization().dequantize(codes, grid, w);
  }

  /** Writes w less the values that the codes stand for; both are F32, rows × columns. */
  public void subtractFrom(Backend backend, Tensor w, Tensor difference) {
    backend.quantization().subtract(w, codes, grid, difference);
  }

  /** Rows {@code from} to {@code to} (exclusive): a view. */
  public QuantizedMatrix rows(int from, int to) {
    return new QuantizedMatrix(
        codes.rows(from, to),
        new Grid(
            grid.spec(), grid.scale().rows(from, to), grid.zero().rows(from, to), grid.groupOf()));
  }

  /** Copies to the host and packs. */
  public PackedMatrix pack() {
    return startPacking(List.of(this)).getFirst().join();
  }

  /**
   * Copies matrices to the host and packs them on other threads, while the backend goes on. The
   * groups of columns that several have are brought once.
   */
  public static List<CompletableFuture<PackedMatrix>> startPacking(List<QuantizedMatrix> matrices) {
    List<CompletableFuture<PackedMatrix>> packed = new ArrayList<>();
    IdentityHashMap<Tensor, int[]> groups = new IdentityHashMap<>();
    for (QuantizedMatrix matrix : matrices) {
      Grid grid = matrix.grid();
      int[] groupOf = groups.computeIfAbsent(grid.groupOf(), HostCopies::ints);
      Optional<Tensor> zero =
          grid.spec().scheme().hasZeroPoint() ? Optional.of(grid.zero()) : Optional.empty();
      packed.add(
          CompletableFuture.supplyAsync(
              bring(grid.spec(), groupOf, matrix.codes(), grid.scale(), zero)));
    }
    return packed;
  }

  /**
   * Copies to the host.
   *
   * @param groupOf the group of each column
   * @param zero where the scheme has zero points
   * @return packs what was copied
   */
  static Supplier<PackedMatrix> bring(
      GridSpec spec, int[] groupOf, Tensor codes, Tensor scale, Optional<Tensor> zero) {
    int rows = codes.rows();
    byte[] bytes = HostCopies.bytes(codes);
    MemorySegment scales = onHost(scale);
    Optional<MemorySegment> zeros = zero.map(QuantizedMatrix::onHost);
    return () -> Packer.pack(spec.scheme(), spec.bits(), rows, groupOf, bytes, scales, zeros);
  }

  private static MemorySegment onHost(Tensor grids) {
    return MemorySegment.ofArray(HostCopies.floats(grids));
  }
}
