package dev.gptq.cuda;

import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.PackedWeights;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** Products with packed weights, in tiles for the tensor cores where the shape allows. */
final class CudaPackedMatmul implements PackedMatmul {
  /** UNIT of packed.cu. */
  private static final int UNIT = 32;

  private static final int MOST_BITS = 8;

  private final CudaContext context;
  private final DType type;
  private final PlainMatmul plain;
  private final TiledMatmul tiled;

  CudaPackedMatmul(CudaContext context, DType type) {
    this.context = context;
    this.type = type;
    this.plain = new PlainMatmul(context, type);
    this.tiled = new TiledMatmul(context);
  }

  @Override
  public PackedWeights prepare(PackedMatrix m, TensorScope scope) {
    CudaScope owner = scope(scope);
    int[] groups = IntStream.range(0, m.columns()).map(m::group).toArray();
    int groupSize = contiguousGroupSize(m, groups);
    if (!fitsTiles(m, groupSize)) {
      return upload(m, groups, groupSize, owner);
    }
    long tiles = owner.reserve(TiledWeights.bytesOfTiles(m.bits(), m.rows(), m.columns()));
    long grids = owner.reserve(4L * m.groups() * m.rows());
    TiledWeights result =
        new TiledWeights(owner, m.bits(), m.rows(), m.columns(), tiles, grids, groupSize);
    try (CudaScope local = new CudaScope(context)) {
      tiled.tile(upload(m, groups, groupSize, local), result);
    }
    return result;
  }

  private PlainWeights upload(PackedMatrix m, int[] groups, int groupSize, CudaScope scope) {
    MemorySegment groupOf = MemorySegment.ofArray(groups);
    long bytes =
        m.words().byteSize()
            + m.scales().byteSize()
            + m.zeros().map(MemorySegment::byteSize).orElse(0L)
            + groupOf.byteSize();
    return new PlainWeights(
        scope,
        m.bits(),
        m.rows(),
        m.columns(),
        upload(m.words(), scope),
        upload(m.scales(), scope),
        m.zeros().isPresent() ? upload(m.zeros().get(), scope) : 0,
        upload(groupOf, scope),
        groupSize,
        m.scheme().hasZeroPoint() ? 0 : m.scheme().fixedZero(m.bits()),
        bytes);
  }

  private long upload(MemorySegment host, CudaScope scope) {
    long address = scope.reserve(host.byteSize());
    context.staging().upload(host, address, host.byteSize());
    context.queue().queued("upload");
    return address;
  }

  private CudaScope scope(TensorScope scope) {
    if (scope instanceof CudaScope s && context.owns(s)) {
      return s;
    }
    throw new IllegalArgumentException("a scope of another backend was passed to the cuda backend");
  }

  /** Columns of a group if all units of 32 columns lie in one group each, else 0. */
  private static int contiguousGroupSize(PackedMatrix m, int[] groups) {
    if (m.columns() % UNIT != 0 || m.columns() % m.groups() != 0) {
      return 0;
    }
    int size = m.groupSize();
    boolean contiguous =
        (size % UNIT == 0) && IntStream.range(0, m.columns()).allMatch(i -> groups[i] == i / size);
    return contiguous ? size : 0;
  }

  /** Tiles hold scales as binary16 and zero points that are whole or half codes. */
  private boolean fitsTiles(PackedMatrix m, int groupSize) {
    return type == DType.BF16
        && m.bits() <= MOST_BITS
        && m.rows() % TiledMatmul.TILE_OUT == 0
        && groupSize > 0
        && groupSize % TiledMatmul.TILE_IN == 0
        && allOf(m.scales(), CudaPackedMatmul::isHalf)
        && (m.zeros().isEmpty() || allOf(m.zeros().get(), zero -> isCode(zero, m.bits())));
  }

  private interface FloatPredicate {
    boolean test(float value);
  }

  private static boolean allOf(MemorySegment floats, FloatPredicate predicate) {
    return LongStream.range(0, floats.byteSize() / Float.BYTES)
        .allMatch(i -> predicate.test(floats.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, i)));
  }

  private static boolean isHalf(float scale) {
    return Float.float16ToFloat(Float.floatToFloat16(scale)) == scale;
  }

  private static boolean isCode(float zero, int bits) {
    return zero >= 0 && zero < (1 << bits) && 2 * zero == Math.rint(2 * zero);
  }

  @Override
  public void matmul(Tensor x, PackedWeights weights, Tensor y) {
    CudaTensor xt = context.tensor(x);
    CudaTensor yt = context.tensor(y);
    DeviceWeights w = weights(weights);
    if (yt.isEmpty()) {
      return;
    }
    switch (w) {
      case PlainWeights p -> plain.matmul(xt, p, yt);
      case TiledWeights t -> tiled.matmul(xt, t, yt);
    }
  }

  private DeviceWeights weights(PackedWeights weights) {
    if (weights instanceof DeviceWeights w && context.owns(w.scope())) {
      w.scope().checkOpen();
      return w;
    }
    throw new IllegalArgumentException(
        "packed weights of another backend were passed to the cuda backend");
  }
}
