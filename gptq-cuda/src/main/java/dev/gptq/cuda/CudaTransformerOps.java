package dev.gptq.cuda;

import com.google.common.base.Preconditions;
import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.RopePairs;
import dev.gptq.backend.TransformerOps;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import java.util.Optional;
import java.util.stream.Stream;

/** The forward pass, a kernel an operation. */
final class CudaTransformerOps implements TransformerOps {
  private static final int MAX_THREADS = 1024;
  private static final int WARP = 32;

  /** Elements of a row that one thread of a reduction should have. */
  private static final int ELEMENTS_A_THREAD = 8;

  /** Queries of a block, ATTENTION_KEYS and the threads of a block of attention.cu. */
  private static final int QUERIES = 32;

  private static final int KEYS = 32;
  private static final int ATTENTION_THREADS = 256;

  /** Wider heads have kernels with half of the queries and one place for keys and values. */
  private static final int WIDE_HEAD = 256;

  private static final int LARGEST_HEAD = 512;

  /** MMA_QUERIES and MMA_THREADS of attention_mma.cu, and what its copies are aligned to. */
  private static final int MMA_QUERIES = 64;

  private static final int MMA_THREADS = 128;
  private static final int MMA_PIECE = 16;
  private static final int MMA_PADDING = 8;

  /** Columns of a state that a block of deltaRule in recurrence.cu takes. */
  private static final int STATE_COLUMNS = 128;

  private final CudaContext context;
  private final Kernels kernels;
  private final String suffix;

  CudaTransformerOps(CudaContext context, DType activationType) {
    this.context = context;
    this.kernels = context.kernels();
    this.suffix = activationType == DType.BF16 ? "_bf16" : "_f32";
  }

  @Override
  public void embed(Tensor table, Tensor tokens, Tensor x) {
    gatherRows(table, tokens, x, "embed");
  }

  @Override
  public void rmsNorm(Tensor x, Tensor gain, float epsilon, Tensor y) {
    CudaTensor t = context.tensor(x);
    CudaTensor g = context.tensor(gain);
    kernels.arguments().add(t).add(g).add(epsilon).add(context.tensor(y));
    if (!t.isEmpty()) {
      launch(
          "rmsNorm",
          Geometry.of(t.rows(), t.columns() / g.columns(), reducingThreads(g.columns())));
    }
  }

  @Override
  public void layerNorm(Tensor x, Tensor gain, Tensor bias, float epsilon, Tensor y) {
    CudaTensor t = context.tensor(x);
    kernels
        .arguments()
        .add(t)
        .add(context.tensor(gain))
        .add(context.tensor(bias))
        .add(epsilon)
        .add(context.tensor(y));
    if (!t.isEmpty()) {
      launch("layerNorm", Geometry.of(t.rows(), reducingThreads(t.columns())));
    }
  }

  @Override
  public void rope(
      Tensor x,
      int headSize,
      RopePairs pairs,
      Tensor cosine,
      Tensor sine,
      int firstPosition,
      int sequences) {
    CudaTensor t = context.tensor(x);
    kernels
        .arguments()
        .add(t)
        .add(headSize)
        .add(pairs == RopePairs.ADJACENT ? 1 : 0)
        .add(context.tensor(cosine))
        .add(context.tensor(sine))
        .add(firstPosition)
        .add(t.rows() / sequences);
    if (!t.isEmpty() && cosine.columns() > 0) {
      launch("rope", Geometry.of(t.rows(), Elementwise.THREADS));
    }
  }

  @Override
  public void attention(
      Tensor q,
      Tensor k,
      Tensor v,
      AttentionSpec spec,
      Optional<Tensor> sinks,
      int sequences,
      Tensor y) {
    CudaTensor qt = context.tensor(q);
    int size = spec.headSize();
    Preconditions.checkArgument(
        size <= LARGEST_HEAD,
        "attention: the cuda backend has heads of up to %s channels, not %s",
        LARGEST_HEAD,
        size);
    CudaTensor kt = context.tensor(k);
    CudaTensor vt = context.tensor(v);
    CudaTensor yt = context.tensor(y);
    int queries = qt.rows() / sequences;
    kernels
        .arguments()
        .add(qt)
        .add(kt)
        .add(vt)
        .add(spec, queries, kt.rows() / sequences, sinks.map(context::tensor))
        .add(yt);
    if (qt.isEmpty()) {
      return;
    }
    boolean wide = size > WIDE_HEAD;
    int channels = size <= 64 ? 64 : size <= 128 ? 128 : wide ? LARGEST_HEAD : WIDE_HEAD;
    boolean inPieces =
        !wide
            && size % (MMA_PIECE / DType.BF16.bytes()) == 0
            && Stream.of(qt, kt, vt, yt).allMatch(CudaTransformerOps::comesInPieces);
    if (inPieces) {
      int keys = channels == WIDE_HEAD ? 32 : 64;
      kernels.launch(
          KernelImages.TOLERANT,
          "attentionMma_" + channels,
          Geometry.of(Math.ceilDiv(queries, MMA_QUERIES), spec.heads(), MMA_THREADS)
              .withGridZ(sequences)
              .withShared(DType.BF16.bytes() * (MMA_QUERIES + 4 * keys) * (channels + MMA_PADDING)),
          "attention");
    } else {
      int tile = wide ? QUERIES / 2 : QUERIES;
      kernels.launch(
          KernelImages.TOLERANT,
          "attention" + suffix + "_" + channels,
          Geometry.of(Math.ceilDiv(queries, tile), spec.heads(), ATTENTION_THREADS)
              .withGridZ(sequences)
              .withShared(Float.BYTES * (tile * size + KEYS * (wide ? size + 1 : 2 * size + 1))),
          "attention");
    }
  }

  /** Whether rows are bfloat16 and start where the GPU can copy 16 bytes at once. */
  private static boolean comesInPieces(CudaTensor t) {
    return t.type() == DType.BF16
        && t.address() % MMA_PIECE == 0
        && (t.rows() == 1 || t.rowStride() * t.type().bytes() % MMA_PIECE == 0);
  }

  @Override
  public void convolve(Tensor x, Tensor weight, int sequences, Tensor y) {
    CudaTensor t = context.tensor(y);
    kernels
        .arguments()
        .add(context.tensor(x))
        .add(context.tensor(weight))
        .add(x.rows() / sequences)
        .add(t.rows() / sequences)
        .add(t);
    elementwise("convolve", t);
  }

  @Override
  public void decay(Tensor x, Tensor shift, Tensor rate, Tensor y) {
    CudaTensor t = context.tensor(y);
    kernels
        .arguments()
        .add(context.tensor(x))
        .add(context.tensor(shift))
        .add(context.tensor(rate))
        .add(t);
    elementwise("decay", t);
  }

  @Override
  public void deltaRule(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor decay,
      Tensor beta,
      Tensor state,
      int sequences,
      Tensor y) {
    recur("deltaRule", q, k, v, decay, beta, state, sequences, y);
  }

  @Override
  public void softplus(Tensor x, Tensor shift, float low, float high, Tensor y) {
    CudaTensor t = context.tensor(y);
    kernels.arguments().add(context.tensor(x)).add(context.tensor(shift)).add(low).add(high).add(t);
    elementwise("softplus", t);
  }

  @Override
  public void stateSpace(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor step,
      Tensor rate,
      Tensor state,
      int sequences,
      Tensor y) {
    recur("stateSpace", q, k, v, step, rate, state, sequences, y);
  }

  /** A rule of which each head of each sequence is a block, or several. */
  private void recur(
      String operation,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor byHead,
      Tensor other,
      Tensor state,
      int sequences,
      Tensor y) {
    CudaTensor t = context.tensor(y);
    int heads = byHead.columns();
    int keySize = state.rows() / (sequences * heads);
    kernels
        .arguments()
        .add(context.tensor(q))
        .add(context.tensor(k))
        .add(context.tensor(v))
        .add(context.tensor(byHead))
        .add(context.tensor(other))
        .add(context.tensor(state))
        .add(heads)
        .add(heads / (q.columns() / keySize))
        .add(keySize)
        .add(q.rows() / sequences)
        .add(t);
    if (!t.isEmpty()) {
      int runs = Math.ceilDiv(state.columns(), STATE_COLUMNS);
      launch(
          operation,
          Geometry.of(heads, runs, STATE_COLUMNS)
              .withGridZ(sequences)
              .withShared(2 * Float.BYTES * keySize));
    }
  }

  @Override
  public void activate(Activation f, Tensor x, Tensor y) {
    CudaTensor t = context.tensor(y);
    kernels.arguments().add(KernelCodes.of(f)).add(context.tensor(x)).add(t);
    elementwise("activate", t);
  }

  @Override
  public void gate(Activation f, Tensor gate, Tensor up, Tensor y) {
    CudaTensor t = context.tensor(y);
    kernels
        .arguments()
        .add(KernelCodes.of(f))
        .add(context.tensor(gate))
        .add(context.tensor(up))
        .add(t);
    elementwise("gate", t);
  }

  @Override
  public void add(Tensor x, Tensor y) {
    CudaTensor t = context.tensor(y);
    kernels.arguments().add(context.tensor(x)).add(t);
    elementwise("add", t);
  }

  @Override
  public void addBias(Tensor bias, Tensor y) {
    CudaTensor t = context.tensor(y);
    kernels.arguments().add(context.tensor(bias)).add(t);
    elementwise("addBias", t);
  }

  @Override
  public void scale(float factor, Tensor x) {
    ofAnyType("scale", factor, context.tensor(x));
  }

  @Override
  public void clamp(float low, float high, Tensor x) {
    CudaTensor t = context.tensor(x);
    kernels.arguments().add(low).add(high).add(t);
    if (!t.isEmpty()) {
      kernels.launch(KernelImages.TOLERANT, "clamp", Elementwise.over(t), "clamp");
    }
  }

  @Override
  public void softCap(float cap, Tensor x) {
    ofAnyType("softCap", cap, context.tensor(x));
  }

  private void ofAnyType(String kernel, float parameter, CudaTensor t) {
    kernels.arguments().add(parameter).add(t);
    if (!t.isEmpty()) {
      kernels.launch(KernelImages.TOLERANT, kernel, Elementwise.over(t), kernel);
    }
  }

  @Override
  public void gatherRows(Tensor x, Tensor index, Tensor y) {
    gatherRows(x, index, y, "gatherRows");
  }

  private void gatherRows(Tensor x, Tensor index, Tensor y, String operation) {
    CudaTensor t = context.tensor(y);
    kernels.arguments().add(context.tensor(x)).add(context.tensor(index)).add(t);
    if (!t.isEmpty()) {
      Geometry runs = Elementwise.overRuns(t);
      kernels.launch(KernelImages.TOLERANT, "gatherRows" + suffix, runs, operation);
    }
  }

  @Override
  public void scatterAddRows(Tensor x, Tensor index, Tensor weight, Tensor y) {
    CudaTensor t = context.tensor(x);
    kernels
        .arguments()
        .add(t)
        .add(context.tensor(index))
        .add(context.tensor(weight))
        .add(context.tensor(y));
    if (!t.isEmpty()) {
      launch("scatterAddRows", Elementwise.overRuns(t));
    }
  }

  @Override
  public void crossEntropy(Tensor logits, Tensor targets, Tensor loss) {
    CudaTensor t = context.tensor(logits);
    kernels.arguments().add(t).add(context.tensor(targets)).add(context.tensor(loss));
    reducing("crossEntropy", t);
  }

  @Override
  public void divergence(Tensor logits, Tensor base, Tensor targets, Tensor found) {
    CudaTensor t = context.tensor(logits);
    kernels
        .arguments()
        .add(t)
        .add(context.tensor(base))
        .add(context.tensor(targets))
        .add(context.tensor(found));
    reducing("divergence", t);
  }

  /** Queues a kernel for each row of a tensor. */
  private void reducing(String operation, CudaTensor t) {
    if (!t.isEmpty()) {
      Geometry rows = Geometry.of(t.rows(), reducingThreads(t.columns()));
      kernels.launch(KernelImages.TOLERANT, operation, rows, operation);
    }
  }

  static int reducingThreads(int elements) {
    int warps = Math.ceilDiv(elements, WARP * ELEMENTS_A_THREAD);
    return WARP * Math.clamp(warps, 1, MAX_THREADS / WARP);
  }

  private void elementwise(String operation, CudaTensor t) {
    if (!t.isEmpty()) {
      launch(operation, Elementwise.over(t));
    }
  }

  private void launch(String operation, Geometry geometry) {
    kernels.launch(KernelImages.TOLERANT, operation + suffix, geometry, operation);
  }
}
