package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.grid.Grid;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.pack.Packer;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

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
    Optional<MemorySegment> zeros =
        grid.spec().scheme().hasZeroPoint() ? Optional.of(onHost(grid.zero())) : Optional.empty();
    return Packer.pack(
        grid.spec().scheme(),
        grid.spec().bits(),
        codes.rows(),
        HostCopies.ints(grid.groupOf()),
        HostCopies.bytes(codes),
        onHost(grid.scale()),
        zeros);
  }

  private static MemorySegment onHost(Tensor grids) {
    return MemorySegment.ofArray(HostCopies.floats(grids));
  }
}
