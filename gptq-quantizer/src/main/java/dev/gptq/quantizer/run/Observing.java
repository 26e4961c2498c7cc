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

  /** Improves some modules. */
  record Worst(int count, Measure measure) implements Observing {
    @Override
    public ImmutableList<Attempt> run(Observer observer, Supplier<Sensitivity> sensitivity) {
      return measure == Measure.ERROR
          ? observer.improveWorst(count)
          : observer.improveCheapest(count);
    }

    @Override
    public OptionalInt worst() {
      return measure == Measure.ERROR ? OptionalInt.of(count) : OptionalInt.empty();
    }
  }

  /** Spends a number of bits. */
  record Budget(double bitsPerWeight) implements Observing {
    @Override
    public ImmutableList<Attempt> run(Observer observer, Supplier<Sensitivity> sensitivity) {
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

  /** How many Hessians of the worst modules it needs; empty for all modules'. */
  OptionalInt worst();
}
