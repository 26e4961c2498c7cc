package dev.gptq.quantizer.tune;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import dev.gptq.quantizer.pipeline.KeptRows;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * How far a tuning has come: its looks at the held-out text, and what they say of the steps to
 * come. In step t of N, offsets move by {@code rate·(1 + cos(π·t / N)) / 2}. Where {@value
 * Tuning#PATIENCE} looks in a row see nothing that is better than after any step before, what is
 * left of this curve is gone through in a quarter of the steps: states gain most while the rate
 * falls, so that stopping there would give that away. The state before the first step does not
 * count in this: large steps leave it for a worse one first and come past it later.
 */
final class Course {
  private static final int PARTS = 4;
  private static final int COLUMNS = 3;

  private final Tuning tuning;
  private final double rate;
  private final List<TuningOutcome.Look> looks = new ArrayList<>();
  private double best = Double.POSITIVE_INFINITY;

  /** The best after any step. */
  private double bestTuned = Double.POSITIVE_INFINITY;

  private int inVain;

  /** The step from which on the rate falls faster, and the one it is 0 in. */
  private int turn;

  private int end;

  /** Before the first look. */
  Course(Tuning tuning, double rate) {
    this.tuning = tuning;
    this.rate = rate;
    this.turn = tuning.steps();
    this.end = tuning.steps();
  }

  double rate() {
    return rate;
  }

  ImmutableList<TuningOutcome.Look> looks() {
    return ImmutableList.copyOf(looks);
  }

  /** Steps that were done when the held-out text was looked at last. */
  int step() {
    return looks.getLast().step();
  }

  boolean isLook(int steps) {
    return steps % tuning.stepsOfLook() == 0 || steps == end;
  }

  boolean isOver(int steps) {
    return steps >= end;
  }

  /** What offsets move by in a step, which count from 0. */
  float stepSize(int step) {
    double at = (double) Math.min(step, turn) / tuning.steps();
    if (step > turn) {
      at += (1 - at) * (step - turn) / (end - turn);
    }
    return (float) (rate * (1 + Math.cos(Math.PI * at)) / 2);
  }

  /** Takes note of a look; returns whether it is the best so far. */
  boolean add(TuningOutcome.Look look) {
    boolean gained = look.heldOut() < best;
    best = Math.min(best, look.heldOut());
    if (!looks.isEmpty()) {
      boolean goesOn = looks.size() == 1 ? gained : look.heldOut() < bestTuned;
      inVain = goesOn ? 0 : inVain + 1;
      bestTuned = Math.min(bestTuned, look.heldOut());
    }
    looks.add(look);
    int fall = Math.ceilDiv(tuning.steps(), PARTS);
    if (inVain == Tuning.PATIENCE && look.step() + fall < end) {
      turn = look.step();
      end = turn + fall;
    }
    return gained;
  }

  /** The rate, and step, training and held-out divergence of all looks, to be kept. */
  KeptRows numbers() {
    double[] numbers = new double[COLUMNS * (looks.size() + 1)];
    numbers[0] = rate;
    for (int i = 0; i < looks.size(); i++) {
      numbers[COLUMNS * (i + 1)] = looks.get(i).step();
      numbers[COLUMNS * (i + 1) + 1] = looks.get(i).training();
      numbers[COLUMNS * (i + 1) + 2] = looks.get(i).heldOut();
    }
    return new Numbers(numbers);
  }

  /** Room for the {@link #numbers} of a course with so many looks. */
  static Numbers numbers(int looks) {
    return new Numbers(new double[COLUMNS * (looks + 1)]);
  }

  /** Numbers of looks in rows of three, the rate in the first. */
  static final class Numbers implements KeptRows {
    private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;

    private final double[] values;

    private Numbers(double[] values) {
      this.values = values;
    }

    /** The course that they are of. */
    Course course(Tuning tuning) {
      Course course = new Course(tuning, values[0]);
      for (int i = COLUMNS; i < values.length; i += COLUMNS) {
        course.add(new TuningOutcome.Look((int) values[i], values[i + 1], values[i + 2]));
      }
      Preconditions.checkState(!course.looks.isEmpty(), "a course has a look");
      return course;
    }

    @Override
    public DType type() {
      return DType.F64;
    }

    @Override
    public int rows() {
      return values.length / COLUMNS;
    }

    @Override
    public int columns() {
      return COLUMNS;
    }

    @Override
    public void copyTo(int from, int to, MemorySegment host) {
      MemorySegment.copy(values, from * COLUMNS, host, DOUBLE, 0, (to - from) * COLUMNS);
    }

    @Override
    public void fill(int from, int to, MemorySegment host) {
      MemorySegment.copy(host, DOUBLE, 0, values, from * COLUMNS, (to - from) * COLUMNS);
    }
  }
}
