package dev.gptq.models.forward;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Step;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.function.IntConsumer;

/** A language model with all its weights in a backend's memory. */
public final class Decoder implements TextModel {
  private final Backend backend;
  private final DecoderSpec spec;
  private final TensorScope scope;
  private final Ends ends;
  private final ImmutableList<Block> blocks;

  /** Loads a model. */
  public Decoder(Backend backend, DecoderSpec spec, WeightSource source) {
    this.backend = backend;
    this.spec = spec;
    this.scope = backend.newScope();
    this.ends = new Ends(backend, spec, source, scope);
    RopeTables ropes = new RopeTables(scope);
    ImmutableList.Builder<Block> loaded = ImmutableList.builder();
    for (BlockSpec block : spec.blocks()) {
      loaded.add(new Block(backend, block, source, ropes, scope));
    }
    this.blocks = loaded.build();
  }

  /**
   * The backward pass of this model, which keeps the residual stream between blocks in the memory
   * of the backend.
   *
   * @throws IllegalArgumentException if some of it has no derivative, see {@link Derivatives}
   */
  public BackwardPass backward() {
    return backward(new BordersHere(backend, scope));
  }

  /** The same with the residual stream between blocks kept somewhere else. */
  public BackwardPass backward(Borders borders) {
    Derivatives.missing(spec)
        .ifPresent(what -> {
          throw new IllegalArgumentException("no derivative of " + what);
        });
    return new BackwardPass(backend, ends, blocks, borders);
  }

  @Override
  public DecoderSpec spec() {
    return spec;
  }

  /** One of its blocks. */
  public Block block(int index) {
    return blocks.get(index);
  }

  /** The backend that holds it. */
  public Backend backend() {
    return backend;
  }

  /**
   * The logits of all positions of a batch of windows of equal length.
   *
   * @param windows token ids
   * @param result owns the logits, F32, (windows·length) × vocabulary
   */
  public Tensor logits(List<int[]> windows, TensorScope result) {
    try (TensorScope local = backend.newScope();
        Registers registers = new Registers(backend, local)) {
      forward(windows, registers, local);
      return ends.logits(registers, result);
    }
  }

  /**
   * What the first block finds of windows of equal length, of the activation type, tokens ×
   * features.
   */
  public Tensor embedded(List<int[]> windows, TensorScope result) {
    try (TensorScope local = backend.newScope();
        Registers registers = new Registers(backend, local)) {
      ends.embed(windows, registers, local);
      return copied(registers.get(Step.RESIDUAL), result);
    }
  }

  /**
   * What the last block leaves behind of windows of equal length, of the activation type, tokens ×
   * features.
   */
  public Tensor stream(List<int[]> windows, TensorScope result) {
    try (TensorScope local = backend.newScope();
        Registers registers = new Registers(backend, local)) {
      forward(windows, registers, local);
      return copied(registers.get(Step.RESIDUAL), result);
    }
  }

  private Tensor copied(Tensor x, TensorScope result) {
    Tensor copy = result.rowMajor(x.type(), x.rows(), x.columns());
    backend.linalg().convert(x, copy);
    return copy;
  }

  /** The logits of such a stream or some rows of it, F32. */
  public Tensor logitsOf(Tensor stream, TensorScope result) {
    return ends.logits(stream, result);
  }

  /** Calls {@code body} for runs of so many positions whose logits may be held at a time. */
  public void forRuns(int positions, Runs body) {
    ends.forRuns(positions, body);
  }

  /** Work on positions from … to−1. */
  @FunctionalInterface
  public interface Runs {
    /** Does it. */
    void run(int from, int to);
  }

  /** Takes windows of token ids behind the last block. */
  private void forward(List<int[]> windows, Registers registers, TensorScope local) {
    ends.embed(windows, registers, local);
    for (Block block : blocks) {
      block.run(registers, Pass.windows(windows.size()));
    }
  }

  @Override
  public Reading read(List<List<int[]>> batches, IntConsumer progress) {
    Queue<List<int[]>> ahead = new ArrayDeque<>(batches);
    return new Reading() {
      private int done;

      @Override
      public Outputs next() {
        List<int[]> batch = ahead.remove();
        Outputs outputs = run(batch);
        done += batch.size();
        progress.accept(done);
        return outputs;
      }

      @Override
      public void close() {}
    };
  }

  /** Runs a batch of windows of equal length and holds what the head reads. */
  public Outputs run(List<int[]> windows) {
    Registers registers = new Registers(backend, scope);
    boolean ran = false;
    try (TensorScope local = backend.newScope()) {
      forward(windows, registers, local);
      ran = true;
      return new Outputs(backend, ends, windows, registers);
    } finally {
      if (!ran) {
        registers.close();
      }
    }
  }

  /**
   * The residual stream of a batch of windows of equal length before each block and, last, what the
   * head reads: F32, tokens × features, row by row.
   */
  public List<float[]> hiddenStates(List<int[]> windows) {
    List<float[]> states = new ArrayList<>();
    try (TensorScope local = backend.newScope();
        Registers registers = new Registers(backend, local)) {
      ends.embed(windows, registers, local);
      for (Block block : blocks) {
        states.add(toHost(registers.get(Step.RESIDUAL)));
        block.run(registers, Pass.windows(windows.size()));
      }
      ends.close(registers.get(Step.RESIDUAL), x -> states.add(toHost(x)));
    }
    return states;
  }

  private float[] toHost(Tensor x) {
    try (TensorScope local = backend.newScope()) {
      Tensor copy = local.rowMajor(DType.F32, x.rows(), x.columns());
      backend.linalg().convert(x, copy);
      return HostCopies.floats(copy);
    }
  }

  /**
   * Lets sequences take their logits from this matrix, vocabulary × features, in place of the dense
   * one. For backends whose activations are float32, as logits are.
   */
  public void packHead(PackedMatrix matrix) {
    checkHead();
    ends.packHead(matrix, scope);
  }

  /** The same with the dense matrix rounded to so many bits, symmetric in groups of 32 columns. */
  public void roundHead(int bits) {
    checkHead();
    ends.roundHead(bits, scope);
  }

  private void checkHead() {
    Preconditions.checkState(
        backend.activationType() == DType.F32, "this backend's products give less than float32");
  }

  /** A sequence of this model to continue, of at most {@code capacity} tokens. */
  public Sequence newSequence(int capacity) {
    checkCapacity(capacity);
    return new Sequence(capacity);
  }

  private void checkCapacity(int capacity) {
    Preconditions.checkArgument(
        capacity <= spec.context(),
        "%s tokens exceed the model's context of %s",
        capacity,
        spec.context());
  }

  /**
   * Sequences of this model to continue side by side, of at most {@code capacity} tokens each.
   *
   * @throws IllegalArgumentException if the model has convolutions, which go on one sequence at a
   *     time only
   */
  public Sequences newSequences(int count, int capacity) {
    checkCapacity(capacity);
    Preconditions.checkArgument(count > 0, "no sequences");
    Preconditions.checkArgument(
        spec.blocks().stream().noneMatch(block -> block.has(Step.Convolve.class)),
        "%s models have convolutions: they continue one sequence at a time",
        spec.family());
    return new Sequences(count, capacity);
  }

  @Override
  public void close() {
    scope.close();
  }

  /** One sequence with the keys and values of its positions so far. */
  public final class Sequence implements AutoCloseable {
    private final TensorScope memory = scope.child();
    private final ImmutableList<KeyValueCache> caches;
    private final int capacity;
    private int length;

    private Sequence(int capacity) {
      this.capacity = capacity;
      this.caches = caches(memory, capacity);
    }

    /** Appends tokens and returns the logits that follow the last of them. */
    public float[] append(int... tokens) {
      Preconditions.checkArgument(tokens.length > 0, "no tokens to append");
      Preconditions.checkState(
          length + tokens.length <= capacity, "the sequence is full at %s tokens", capacity);
      try (TensorScope local = backend.newScope();
          Registers registers = new Registers(backend, local)) {
        goOn(ImmutableList.of(tokens), length, caches, registers, local);
        length += tokens.length;
        Tensor logits = ends.lastLogits(registers, local);
        float[] values = new float[spec.vocabulary()];
        logits.copyTo(MemorySegment.ofArray(values));
        return values;
      }
    }

    /** Number of tokens so far. */
    public int length() {
      return length;
    }

    /** Whether no further token fits. */
    public boolean isFull() {
      return length == capacity;
    }

    @Override
    public void close() {
      memory.close();
    }
  }

  /** Several sequences of equal length with the keys and values of their positions so far. */
  public final class Sequences implements AutoCloseable {
    private final TensorScope memory = scope.child();
    private final ImmutableList<KeyValueCache> caches;
    private final int count;
    private final int capacity;
    private int length;

    private Sequences(int count, int capacity) {
      this.count = count;
      this.capacity = capacity;
      this.caches = caches(memory, capacity);
    }

    /**
     * Appends a token to each.
     *
     * @param tokens as many as there are sequences
     * @param result owns the logits that follow, F32, sequences × vocabulary
     */
    public Tensor append(int[] tokens, TensorScope result) {
      Preconditions.checkArgument(
          tokens.length == count, "%s tokens for %s sequences", tokens.length, count);
      Preconditions.checkState(length < capacity, "the sequences are full at %s tokens", capacity);
      try (TensorScope local = backend.newScope();
          Registers registers = new Registers(backend, local)) {
        List<int[]> windows = Arrays.stream(tokens).mapToObj(token -> new int[] {token}).toList();
        goOn(windows, length, caches, registers, local);
        length++;
        return ends.logits(registers, result);
      }
    }

    @Override
    public void close() {
      memory.close();
    }
  }

  private ImmutableList<KeyValueCache> caches(TensorScope memory, int capacity) {
    return blocks.stream()
        .map(block -> new KeyValueCache(backend, memory, capacity))
        .collect(ImmutableList.toImmutableList());
  }

  /** Takes tokens behind the last block, with what caches hold of the positions before. */
  private void goOn(
      List<int[]> windows,
      int position,
      List<KeyValueCache> caches,
      Registers registers,
      TensorScope local) {
    int sequences = windows.size();
    Pass opening = new Pass(sequences, position, Optional.empty(), Optional.empty());
    ends.embed(windows, registers, opening, local);
    for (int i = 0; i < blocks.size(); i++) {
      Optional<KeyValueCache> cache = Optional.of(caches.get(i));
      blocks.get(i).run(registers, new Pass(sequences, position, Optional.empty(), cache));
    }
  }

  /** Token ids of windows of equal length, one after the other, as a tensor. */
  static Tensor tokens(List<int[]> windows, TensorScope scope) {
    int length = windows.getFirst().length;
    int[] flat = new int[Math.multiplyExact(windows.size(), length)];
    for (int i = 0; i < windows.size(); i++) {
      Preconditions.checkArgument(
          windows.get(i).length == length, "the windows of a batch differ in length");
      System.arraycopy(windows.get(i), 0, flat, i * length, length);
    }
    return scope.upload(MemorySegment.ofArray(flat), DType.I32, 1, flat.length, Layout.ROW_MAJOR);
  }
}
