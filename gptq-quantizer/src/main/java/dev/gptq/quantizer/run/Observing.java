package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.quantizer.observe.Attempt;
import dev.gptq.quantizer.observe.Observer;
import dev.gptq.quantizer.observe.Sensitivity;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.function.Supplier;

/** Gives some modules smaller groups and more bits than the others. */
public sealed interface Observing {

  /** How modules are ranked. */
  enum Measure {
    /** By relative error. */
    ERROR,
    /** By what a byte takes off the relative error. */
    BENEFIT
  }

  /**
   * Improves some modules.
   *
   * @param widths bits that a module may get; empty for those that servers have kernels for
   */
  record Worst(int count, Measure measure, ImmutableList<Integer> widths) implements Observing {
    /** With the usual widths. */
    public Worst(int count, Measure measure) {
      this(count, measure, ImmutableList.of());
    }

    @Override
    public ImmutableList<Attempt> run(Observer observer, Supplier<Sensitivity> sensitivity) {
      observer.widths(widths);
      return measure == Measure.ERROR
          ? observer.improveWorst(count)
          : observer.improveCheapest(count);
    }

    @Override
    public OptionalInt worst() {
      return measure == Measure.ERROR ? OptionalInt.of(count) : OptionalInt.empty();
    }
  }

  /**
   * Spends a number of bits, where gradients of the full-precision model say before the run that
   * errors cost most. Of a model of which gradients cannot be taken it becomes a {@link
   * MeasuredBudget}.
   *
   * @param bits a weight
   * @param widths bits that a module may get; empty for those that servers have kernels for
   */
  record Budget(double bits, ImmutableList<Integer> widths) implements Observing {
    /** With the usual widths. */
    public Budget(double bits) {
      this(bits, ImmutableList.of());
    }

    @Override
    public boolean isForeseen() {
      return true;
    }

    @Override
    public OptionalDouble bitsPerWeight() {
      return OptionalDouble.of(bits);
    }

    @Override
    public ImmutableList<Attempt> run(Observer observer, Supplier<Sensitivity> sensitivity) {
      return ImmutableList.of();
    }

    @Override
    public OptionalInt worst() {
      return OptionalInt.of(0);
    }
  }

  /**
   * Spends a number of bits, where predictions of the full-precision model are seen to suffer most
   * when modules are quantized alone.
   *
   * @param bits a weight
   * @param widths bits that a module may get; empty for those that servers have kernels for
   */
  record MeasuredBudget(double bits, ImmutableList<Integer> widths) implements Observing {
    @Override
    public OptionalDouble bitsPerWeight() {
      return OptionalDouble.of(bits);
    }

    @Override
    public ImmutableList<Attempt> run(Observer observer, Supplier<Sensitivity> sensitivity) {
      observer.widths(widths);
      try (Sensitivity measured = sensitivity.get()) {
        return observer.fill(bits, measured);
      }
    }

    @Override
    public OptionalInt worst() {
      return OptionalInt.empty();
    }
  }

  /** Whether it is decided before the run; otherwise modules are tried again afterwards. */
  default boolean isForeseen() {
    return false;
  }

  /** The bits a weight that are spent, if a number is given. */
  default OptionalDouble bitsPerWeight() {
    return OptionalDouble.empty();
  }

  /**
   * Does what is done once the model is quantized, and returns all that was tried.
   *
   * @param sensitivity loads the full-precision model, for those who need it
   */
  ImmutableList<Attempt> run(Observer observer, Supplier<Sensitivity> sensitivity);

  /** Bits that a module may get; empty for those that servers have kernels for. */
  ImmutableList<Integer> widths();

  /** How many Hessians of the worst modules it needs; empty for all modules'. */
  OptionalInt worst();
}
