package dev.gptq.backend;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * A backend whose tensors hold nothing and whose operations compute nothing: it counts. What is to
 * run on a backend runs on its rehearsal first, and {@link #memory} tells what that takes, for
 * every option and with the backend's own types and sizes. There is no formula to follow the code.
 *
 * <p>Work on {@linkplain LaneGroup lanes} runs one piece after the other, and counts as if the
 * largest pieces came together at their largest: an upper bound of what they take at any time.
 *
 * <p>Numbers that are copied to the host mean nothing, but no weight is NaN and no factorisation
 * fails. Code that would let numbers decide how much memory it takes asks whether its backend is a
 * rehearsal.
 */
public final class Rehearsal implements Backend {
  private final Backend idle;
  private final Footprint footprint;
  private final Backend checked;
  private final WorkCounter counter = new WorkCounter();
  private final LinearAlgebra linalg;
  private final QuantizationOps quantization;
  private final TransformerOps transformer;
  private final GradientOps gradients;
  private final TuningOps tuning;

  /**
   * A rehearsal.
   *
   * @param idle allocates as the real backend does, but computes nothing
   * @param footprint what it allocates is counted here
   */
  public Rehearsal(Backend idle, Footprint footprint) {
    this.idle = idle;
    this.footprint = footprint;
    this.checked = new CheckedBackend(idle);
    this.linalg = counter.counted(LinearAlgebra.class, checked.linalg());
    this.quantization = counter.counted(QuantizationOps.class, checked.quantization());
    this.transformer = counter.counted(TransformerOps.class, checked.transformer());
    this.gradients = counter.counted(GradientOps.class, checked.gradients());
    this.tuning = counter.counted(TuningOps.class, checked.tuning());
  }

  /**
   * Fills memory with what a tensor of a rehearsal seems to hold: floats are 1, but for the first
   * of a vector, which stands for an input that was never active; all else is 0.
   */
  public static void fill(Tensor tensor, MemorySegment host) {
    MemorySegment values = host.asSlice(0, tensor.byteSize());
    if (tensor.type() == DType.F32) {
      ones(values.asSlice(tensor.rows() == 1 ? Float.BYTES : 0));
    } else {
      values.fill((byte) 0);
    }
  }

  /**
   * Copies what is there already, twice as much each time: a loop of floats runs before it is
   * compiled.
   */
  private static void ones(MemorySegment floats) {
    long size = floats.byteSize();
    if (size > 0) {
      floats.set(ValueLayout.JAVA_FLOAT_UNALIGNED, 0, 1);
    }
    for (long done = Float.BYTES; done < size; done *= 2) {
      MemorySegment.copy(floats, 0, floats, done, Math.min(done, size - done));
    }
  }

  /** Runs tasks of which {@code lanes} would run at a time, and passes their results on. */
  <T> void sideBySide(List<Function<Backend, T>> tasks, int lanes, Consumer<T> results) {
    long base = footprint.live();
    List<Long> taken = new ArrayList<>();
    for (Function<Backend, T> task : tasks) {
      taken.add(footprint.above(() -> results.accept(task.apply(this))));
    }
    footprint.reach(
        base
            + taken.stream()
                .sorted(Comparator.reverseOrder())
                .limit(lanes)
                .mapToLong(Long::longValue)
                .sum());
  }

  @Override
  public BackendInfo info() {
    return idle.info();
  }

  @Override
  public TensorScope newScope() {
    return checked.newScope();
  }

  @Override
  public DType activationType() {
    return idle.activationType();
  }

  @Override
  public LinearAlgebra linalg() {
    return linalg;
  }

  @Override
  public QuantizationOps quantization() {
    return quantization;
  }

  /** Throws: nothing that is rehearsed has packed weights yet. */
  @Override
  public PackedMatmul packed() {
    throw new UnsupportedOperationException("packed weights are not rehearsed");
  }

  @Override
  public TransformerOps transformer() {
    return transformer;
  }

  @Override
  public GradientOps gradients() {
    return gradients;
  }

  @Override
  public TuningOps tuning() {
    return tuning;
  }

  @Override
  public int lanes() {
    return idle.lanes();
  }

  @Override
  public boolean copiesBesideWork() {
    return idle.copiesBesideWork();
  }

  @Override
  public int devices() {
    return idle.devices();
  }

  /** Throws: {@link DeviceGroup} rehearses what the first device does, which has most to do. */
  @Override
  public Backend newDevice(int index) {
    throw new UnsupportedOperationException("a rehearsal is of one device");
  }

  @Override
  public void receive(Tensor from, Tensor to) {
    // The numbers of a rehearsal mean nothing.
  }

  /** What the operations so far would have to do. */
  public Work work() {
    return counter.done();
  }

  /** Counts work that need not be rehearsed: work like it was, and takes the same memory. */
  public void count(Work more) {
    counter.add(more);
  }

  /** Throws: {@link LaneGroup} rehearses lanes on the caller's thread. */
  @Override
  public Backend newLane() {
    throw new UnsupportedOperationException("a rehearsal has no lanes");
  }

  /** This. */
  @Override
  public Rehearsal rehearsal() {
    return this;
  }

  @Override
  public void synchronize() {
    // Nothing is ever queued.
  }

  /** What has been taken; nothing is held from the system. */
  @Override
  public MemoryUsage memory() {
    return new MemoryUsage(footprint.live(), footprint.peak(), 0, Long.MAX_VALUE);
  }

  @Override
  public void close() {
    idle.close();
  }
}
