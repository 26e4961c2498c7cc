package dev.gptq.nativekernels;

import dev.gptq.backend.Availability;
import dev.gptq.simd.kernels.ColumnKernels;
import dev.gptq.simd.kernels.DenseKernels;
import dev.gptq.simd.kernels.ForwardKernels;
import dev.gptq.simd.kernels.ForwardKernels.Rows;
import dev.gptq.simd.kernels.RoundedKernels;
import dev.gptq.simd.kernels.RoundedWeights;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** Kernels in C, of the fastest level whose instructions the processor has. */
public final class NativeKernels implements RoundedKernels {
  // 32-bit words of a chunk of a rounded row, as in rounded.h.
  private static final int CHUNK_WORDS = 10;

  private final KernelLibrary.Found library;
  private final int level;

  /** For the service loader. */
  public NativeKernels() {
    library = KernelLibrary.found();
    level = library.library().map(found -> found.levels().getLast()).orElse(-1);
  }

  /** Of one of the library's levels. */
  NativeKernels(KernelLibrary.Found library, int level) {
    this.library = library;
    this.level = level;
  }

  @Override
  public Optional<Availability.Unavailable> refusal() {
    return library.refusal();
  }

  @Override
  public String instructions() {
    return library().name(level);
  }

  @Override
  public long bytes(RoundedWeights w, int tokens) {
    return 4L * tokens * (w.chunks() * CHUNK_WORDS + w.groups());
  }

  @Override
  public void round(RoundedWeights w, MemorySegment x, int token, int tokens, MemorySegment rows) {
    long chunk = 4L * RoundedWeights.CHUNK_INPUTS;
    require(x, chunk * w.chunks());
    require(rows, bytes(w, tokens));
    require(w.groupOfChunk(), 4L * w.chunks());
    library().round(level, w, x, token, tokens, rows);
  }

  @Override
  public void multiply(
      RoundedWeights w,
      int first,
      int end,
      MemorySegment rows,
      int tokens,
      MemorySegment y,
      long stride) {
    long grids = 4L * end * w.groups() * w.width();
    require(w.words(), 4L * w.bits() * end * w.chunks() * w.width());
    require(w.scales(), grids);
    w.zeros().ifPresent(zeros -> require(zeros, grids));
    require(w.groupOfChunk(), 4L * w.chunks());
    require(rows, bytes(w, tokens));
    require(y, 4 * ((tokens - 1) * stride + Math.min(w.outputs(), end * w.width())));
    library().multiply(level, w, first, end, rows, tokens, y, stride);
  }

  @Override
  public ForwardKernels forward() {
    return new NativeForward(library(), level);
  }

  @Override
  public DenseKernels dense() {
    return new NativeDense(library(), level);
  }

  @Override
  public ColumnKernels columns() {
    return new NativeColumns(library(), level);
  }

  private KernelLibrary library() {
    return library.library().orElseThrow();
  }

  /** Throws if fewer bytes are there than rows of a type take. */
  static void require(DType type, Rows rows, long count, long columns) {
    require(rows.segment(), type.bytes() * ((count - 1) * rows.stride() + columns));
  }

  /** C reads and writes without asking. */
  static void require(MemorySegment segment, long bytes) {
    if (!segment.isNative() || segment.byteSize() < bytes) {
      throw new IllegalArgumentException(
          "kernels need " + bytes + " bytes of native memory but got " + segment);
    }
  }
}
