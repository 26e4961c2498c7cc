package dev.gptq.models.forward;

import dev.gptq.backend.Activation;
import dev.gptq.backend.Backend;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Step;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/** What comes before the first block and after the last: embedding, opening, closing and head. */
public final class Ends {
  /** Logits that are held at a time while losses are taken: 256 MiB. */
  private static final long LOGITS = 1L << 26;

  private final Backend backend;
  private final DecoderSpec spec;
  private final Opening opening;
  private final Block closing;
  private final Tensor head;
  private final Optional<Tensor> headBias;
  private Optional<PackedHead> packedHead = Optional.empty();

  /** Loads the weights into {@code scope}. */
  public Ends(Backend backend, DecoderSpec spec, WeightSource source, TensorScope scope) {
    String name = spec.embedding().table();
    int size = spec.embedding().size();
    this.backend = backend;
    this.spec = spec;
    RopeTables ropes = new RopeTables(scope);
    this.opening = new Opening(backend, spec, source, ropes, scope);
    this.closing = new Block(backend, spec.closing(), source, ropes, scope);
    this.head =
        spec.head().matrix().equals(name)
            ? opening.table()
            : source.matrix(spec.head().matrix(), spec.vocabulary(), size, scope);
    this.headBias = spec.head().bias().map(bias -> source.vector(bias, spec.vocabulary(), scope));
  }

  /** Defines the residual stream of windows of token ids. */
  public void embed(List<int[]> windows, Registers registers, TensorScope local) {
    opening.embed(windows, registers, local);
  }

  /** The same for windows that go on at a later position. */
  void embed(List<int[]> windows, Registers registers, Pass pass, TensorScope local) {
    opening.embed(windows, registers, pass, local);
  }

  /** The logits of all positions, F32, tokens × vocabulary. */
  Tensor logits(Registers registers, TensorScope result) {
    return project(registers.get(Step.RESIDUAL), result);
  }

  /** The logits of what the last block left behind, F32, tokens × vocabulary. */
  Tensor logits(Tensor stream, TensorScope result) {
    return project(stream, result);
  }

  /** Calls {@code body} for runs of positions whose logits may be held at a time. */
  void forRuns(int positions, Decoder.Runs body) {
    int chunk = Math.toIntExact(Math.clamp(LOGITS / head.rows(), 1, positions));
    for (int from = 0; from < positions; from += chunk) {
      body.run(from, Math.min(from + chunk, positions));
    }
  }

  /** The logits of positions from … to−1 of all windows together. */
  Tensor logits(Registers registers, int from, int to, TensorScope result) {
    return project(registers.get(Step.RESIDUAL).rows(from, to), result);
  }

  /** From here on {@link #lastLogits} multiplies with this matrix, which lives in {@code scope}. */
  void packHead(PackedMatrix matrix, TensorScope scope) {
    packedHead = Optional.of(PackedHead.of(backend, matrix, scope));
  }

  /** The same with the dense matrix rounded to so many bits. */
  void roundHead(int bits, TensorScope scope) {
    packedHead = Optional.of(PackedHead.rounded(backend, head, bits, scope));
  }

  /** The logits of the last position, 1 × vocabulary. */
  Tensor lastLogits(Registers registers, TensorScope result) {
    Tensor residual = registers.get(Step.RESIDUAL);
    Tensor x = residual.rows(residual.rows() - 1, residual.rows());
    if (packedHead.isEmpty()) {
      return project(x, result);
    }
    try (TensorScope local = backend.newScope();
        Registers own = new Registers(backend, local)) {
      Tensor logits = result.rowMajor(DType.F32, 1, head.rows());
      packedHead.get().multiply(closed(x, own), logits);
      backend.transformer().scale(spec.head().scale(), logits);
      headBias.ifPresent(bias -> backend.transformer().addBias(bias, logits));
      return capped(logits);
    }
  }

  /** Tokens. */
  int vocabulary() {
    return head.rows();
  }

  /** The tokens after positions from … to−1, 0 where a window ends. */
  static int[] next(List<int[]> windows, int from, int to) {
    int length = windows.getFirst().length;
    int[] next = new int[to - from];
    for (int t = from; t < to; t++) {
      int[] window = windows.get(t / length);
      next[t - from] = t % length + 1 < length ? window[t % length + 1] : 0;
    }
    return next;
  }

  /** The loss at every position, 0 where a window ends; the residual stream is left as it is. */
  float[] losses(List<int[]> windows, Registers registers) {
    Tensor x = registers.get(Step.RESIDUAL);
    int length = windows.getFirst().length;
    float[] losses = new float[x.rows()];
    forRuns(
        x.rows(),
        (from, to) -> {
          try (TensorScope local = backend.newScope()) {
            Tensor logits = project(x.rows(from, to), local);
            Tensor loss = local.rowMajor(DType.F32, 1, to - from);
            backend.transformer().crossEntropy(logits, local.upload(next(windows, from, to)), loss);
            System.arraycopy(HostCopies.floats(loss), 0, losses, from, to - from);
          }
        });
    for (int last = length - 1; last < losses.length; last += length) {
      losses[last] = 0;
    }
    return losses;
  }

  /**
   * Defines the gradient of the residual stream behind the last block, for each round of a loss.
   */
  void gradients(Registers registers, BackwardPass.Loss loss, List<Registers> rounds) {
    Tensor x = registers.get(Step.RESIDUAL);
    for (Registers gradients : rounds) {
      gradients.define(Step.RESIDUAL, x.rows(), x.columns(), d -> {});
    }
    forRuns(x.rows(), (from, to) -> gradients(x.rows(from, to), from, loss, rounds));
  }

  private void gradients(Tensor part, int from, BackwardPass.Loss loss, List<Registers> rounds) {
    int to = from + part.rows();
    try (TensorScope local = backend.newScope();
        Registers own = new Registers(backend, local)) {
      own.define(
          Step.RESIDUAL, part.rows(), part.columns(), y -> backend.linalg().convert(part, y));
      BlockGradient closed = closing.runKeeping(own, 1, false, local);
      Tensor logits = logitsOf(own.get(Step.RESIDUAL), local);
      for (int round = 0; round < rounds.size(); round++) {
        try (TensorScope drawn = backend.newScope();
            Registers gradients = new Registers(backend, drawn)) {
          Tensor d = drawn.rowMajor(backend.activationType(), logits.rows(), logits.columns());
          loss.gradient(logits, round, from, d);
          back(logits, d, gradients, drawn);
          closed.back(gradients, (group, input) -> {});
          backend
              .linalg()
              .convert(
                  gradients.get(Step.RESIDUAL),
                  rounds.get(round).get(Step.RESIDUAL).rows(from, to));
        }
      }
    }
  }

  /** Defines the gradient of what the head reads. */
  private void back(Tensor logits, Tensor d, Registers gradients, TensorScope local) {
    float cap = spec.head().softCap();
    if (cap > 0) {
      // The logits are y = cap·tanh(x/cap), of which the derivative is 1 − (y/cap)².
      Tensor y = local.rowMajor(d.type(), d.rows(), d.columns());
      Tensor bend = local.rowMajor(d.type(), d.rows(), d.columns());
      backend.linalg().convert(logits, y);
      backend.transformer().scale(1 / cap, y);
      backend.transformer().gate(Activation.IDENTITY, y, d, bend);
      backend.transformer().gate(Activation.IDENTITY, y, bend, bend);
      backend.linalg().axpy(-1, bend, d);
    }
    gradients.define(
        Step.RESIDUAL,
        d.rows(),
        head.columns(),
        x -> backend.linalg().gemm(spec.head().scale(), d, head, 0, x));
  }

  private Tensor project(Tensor x, TensorScope result) {
    try (TensorScope local = backend.newScope();
        Registers registers = new Registers(backend, local)) {
      return logitsOf(closed(x, registers), result);
    }
  }

  /** The logits of what the head reads. */
  private Tensor logitsOf(Tensor y, TensorScope result) {
    Tensor logits = result.rowMajor(DType.F32, y.rows(), head.rows());
    float scale = spec.head().scale();
    headBias.ifPresent(bias -> repeat(bias, logits));
    float kept = headBias.isPresent() ? scale : 0;
    backend.linalg().gemm(scale, y, head.transposed(), kept, logits);
    return capped(logits);
  }

  private Tensor capped(Tensor logits) {
    if (spec.head().softCap() > 0) {
      backend.transformer().softCap(spec.head().softCap(), logits);
    }
    return logits;
  }

  /** Every row becomes the bias, which is of the activation type. */
  private void repeat(Tensor bias, Tensor logits) {
    try (TensorScope local = backend.newScope()) {
      float[] ones = new float[logits.rows()];
      Arrays.fill(ones, 1);
      Tensor column = local.rowMajor(backend.activationType(), 1, ones.length);
      backend.linalg().convert(local.upload(ones), column);
      backend.linalg().gemm(1, column.transposed(), bias, 0, logits);
    }
  }

  /** Shows what the head reads; the residual stream x is left as it is. */
  void close(Tensor x, Consumer<Tensor> reader) {
    try (TensorScope local = backend.newScope();
        Registers registers = new Registers(backend, local)) {
      reader.accept(closed(x, registers));
    }
  }

  private Tensor closed(Tensor x, Registers registers) {
    registers.define(Step.RESIDUAL, x.rows(), x.columns(), y -> backend.linalg().convert(x, y));
    closing.run(registers, Pass.windows(1));
    return registers.get(Step.RESIDUAL);
  }
}
