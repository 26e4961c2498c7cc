package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.quantizer.observe.Attempt;
import dev.gptq.quantizer.observe.Observer;
import dev.gptq.quantizer.observe.Sensitivity;
import java.util.OptionalInt;
import java.util.function.Supplier;

/** What is done after a model has been quantized. */
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
   * Spends a number of bits.
   *
   * @param widths bits that a module may get; empty for those that servers have kernels for
   */
  record Budget(double bitsPerWeight, ImmutableList<Integer> widths) implements Observing {
    /** With the usual widths. */
    public Budget(double bitsPerWeight) {
      this(bitsPerWeight, ImmutableList.of());
    }

    @Override
    public ImmutableList<Attempt> run(Observer observer, Supplier<Sensitivity> sensitivity) {
      observer.widths(widths);
      try (Sensitivity measured = sensitivity.get()) {
        return observer.fill(bitsPerWeight, measured);
      }
    }

    @Override
    public OptionalInt worst() {
      return OptionalInt.empty();
    }
  }

  /**
   * Does it, and returns all that was tried.
   *
   * @param sensitivity loads the full-precision model, for those who need it
   */
  ImmutableList<Attempt> run(Observer observer, Supplier<Sensitivity> sensitivity);

  /** Bits that a module may get; empty for those that servers have kernels for. */
  ImmutableList<Integer> widths();

  /** How many Hessians of the worst modules it needs; empty for all modules'. */
  OptionalInt worst();
}
