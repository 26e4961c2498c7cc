package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.grid.Grid;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.pack.Packer;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.Arena;
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

  /** Copies to the host and packs, in memory of {@code arena}. */
  public PackedMatrix pack(Arena arena) {
    MemorySegment bytes = arena.allocate(codes.byteSize());
    codes.copyTo(bytes);
    MemorySegment scales = arena.allocate(grid.scale().byteSize(), Float.BYTES);
    grid.scale().copyTo(scales);
    Optional<MemorySegment> zeros = Optional.empty();
    if (grid.spec().scheme().hasZeroPoint()) {
      zeros = Optional.of(arena.allocate(grid.zero().byteSize(), Float.BYTES));
      grid.zero().copyTo(zeros.get());
    }
    return Packer.pack(
        grid.spec().scheme(),
        grid.spec().bits(),
        codes.rows(),
        HostCopies.ints(grid.groupOf()),
        bytes,
        scales,
        zeros,
        arena);
  }
}
