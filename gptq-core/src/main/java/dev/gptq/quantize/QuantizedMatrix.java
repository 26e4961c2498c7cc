package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSpec;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.pack.Packer;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

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

  /** Rows {@code from} to {@code to} (exclusive): a view. */
  public QuantizedMatrix rows(int from, int to) {
    return new QuantizedMatrix(
        codes.rows(from, to),
        new Grid(
            grid.spec(), grid.scale().rows(from, to), grid.zero().rows(from, to), grid.groupOf()));
  }

  /** Copies to the host and packs. */
  public PackedMatrix pack() {
    return startPacking().join();
  }

  /** Copies to the host and packs on other threads, while the backend goes on. */
  public CompletableFuture<PackedMatrix> startPacking() {
    GridSpec spec = grid.spec();
    int rows = codes.rows();
    int[] groupOf = HostCopies.ints(grid.groupOf());
    byte[] bytes = HostCopies.bytes(codes);
    MemorySegment scales = onHost(grid.scale());
    Optional<MemorySegment> zeros =
        spec.scheme().hasZeroPoint() ? Optional.of(onHost(grid.zero())) : Optional.empty();
    return CompletableFuture.supplyAsync(
        () -> Packer.pack(spec.scheme(), spec.bits(), rows, groupOf, bytes, scales, zeros));
  }

  private static MemorySegment onHost(Tensor grids) {
    return MemorySegment.ofArray(HostCopies.floats(grids));
  }
}
