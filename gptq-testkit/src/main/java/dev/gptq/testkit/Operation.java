package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import dev.gptq.testkit.Argument.Placed;
import dev.gptq.testkit.Argument.Placement;
import dev.gptq.testkit.Argument.Role;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;

/**
 * One call of one operation, checked in every respect that does not depend on the operation:
 *
 * <ul>
 *   <li>the outputs agree with the oracle's, for dense arguments and for views;
 *   <li>nothing outside an output view is written, and no input is;
 *   <li>outputs do not depend on what their memory held before;
 *   <li>a second run gives the same bits, and all memory is given back;
 *   <li>a wrong shape, a wrong type and a foreign tensor give {@link IllegalArgumentException}, a
 *       closed scope gives {@link IllegalStateException}, for each argument.
 * </ul>
 */
final class Operation {

  /** The call under test. */
  @FunctionalInterface
  interface Call {
    /**
     * Runs the operation.
     *
     * @param scope for what the operation needs beside its arguments
     */
    void run(Backend backend, Map<String, Tensor> arguments, TensorScope scope);
  }

  /** Which elements of an output the contract defines. */
  @FunctionalInterface
  interface Defined {
    boolean at(int row, int column);
  }

  // The cost of misuse checks is per argument; larger cases add nothing to them.
  private static final int LARGEST_MISUSE = 4096;

  private final String label;
  private final Backend backend;
  private final Backend oracle;
  private final boolean activations;
  private final List<Argument> arguments = new ArrayList<>();
  private Defined defined = (row, column) -> true;

  Operation(String label, Backend backend, Backend oracle, boolean activations) {
    this.label = label;
    this.backend = backend;
    this.oracle = oracle;
    this.activations = activations;
  }

  Operation in(String name, Matrix value) {
    return argument(name, value, Role.IN, false);
  }

  /** An input of which any shape is right. */
  Operation inAnyShape(String name, Matrix value) {
    return argument(name, value, Role.IN, true);
  }

  Operation inOut(String name, Matrix value) {
    return argument(name, value, Role.IN_OUT, false);
  }

  Operation inOutAnyShape(String name, Matrix value) {
    return argument(name, value, Role.IN_OUT, true);
  }

  Operation out(String name, DType type, Layout layout, int rows, int columns) {
    return argument(name, Matrix.filled(type, layout, rows, columns, 0), Role.OUT, false);
  }

  private Operation argument(String name, Matrix value, Role role, boolean anyShape) {
    arguments.add(new Argument(name, value, role, anyShape));
    return this;
  }

  /** Limits the comparison to elements that the contract defines. */
  Operation where(Defined elements) {
    this.defined = elements;
    return this;
  }

  /** The oracle's outputs. */
  Map<String, Matrix> expect(Call call) {
    List<Argument> copies =
        arguments.stream().map(a -> activations ? a.with(widened(a.value())) : a).toList();
    return run(oracle, copies, Placement.DENSE, call);
  }

  /** The outputs of the backend under test, for calls that are expected to fail. */
  Map<String, Matrix> runUnderTest(Call call) {
    return run(backend, arguments, Placement.DENSE, call);
  }

  /** Checks a call whose outputs have the same value on every backend. */
  void isExact(Call call) {
    check(Tolerance.exact(), expect(call), call);
  }

  /** Checks a call whose outputs may differ in proportion to themselves. */
  void isWithin(Tolerance tolerance, Call call) {
    check(tolerance, expect(call), call);
  }

  /** Checks a call of one output that may differ in proportion to the given magnitudes. */
  void isWithin(Tolerance tolerance, Matrix magnitude, Call call) {
    check(tolerance, expect(call), output -> magnitude, call);
  }

  /** Checks a call whose outputs may differ in proportion to a magnitude that all elements have. */
  void isWithin(Tolerance tolerance, double magnitude, Call call) {
    check(
        tolerance,
        expect(call),
        output -> Definitions.constant(output.rows(), output.columns(), magnitude),
        call);
  }

  private void check(Tolerance tolerance, Map<String, Matrix> expected, Call call) {
    check(tolerance, expected, output -> null, call);
  }

  private void check(
      Tolerance tolerance,
      Map<String, Matrix> expected,
      UnaryOperator<Matrix> magnitude,
      Call call) {
    for (Placement placement : Placement.values()) {
      Map<String, Matrix> first = run(backend, poisoned(Double.NaN), placement, call);
      Map<String, Matrix> second = run(backend, poisoned(-3), placement, call);
      for (Map.Entry<String, Matrix> e : expected.entrySet()) {
        String where = describe(placement) + ", " + e.getKey();
        Matrix actual = first.get(e.getKey());
        compare(where, e.getValue(), actual, magnitude.apply(e.getValue()), tolerance);
        compareBits(where + ", second run", actual, second.get(e.getKey()));
      }
    }
    checkMisuse(call);
  }

  /** Runs the call and gives the contents of its outputs. */
  private Map<String, Matrix> run(
      Backend target, List<Argument> inputs, Placement placement, Call call) {
    long live = target.memory().live();
    Map<String, Matrix> outputs = new LinkedHashMap<>();
    try (TensorScope scope = target.newScope()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      List<Placed> placed = new ArrayList<>();
      for (Argument argument : inputs) {
        Placed p = argument.place(scope, placement);
        placed.add(p);
        tensors.put(argument.name(), p.tensor());
      }
      call.run(target, tensors, scope);
      target.synchronize();
      for (Placed p : placed) {
        String name = describe(placement) + ", " + p.argument().name();
        if (p.argument().role() == Role.IN) {
          assertThat(p.intact()).as(name + ": the input is unchanged").isTrue();
        } else {
          assertThat(p.surroundingsIntact()).as(name + ": nothing around it is written").isTrue();
          outputs.put(p.argument().name(), p.download());
        }
      }
    }
    assertThat(target.memory().live()).as(describe(placement) + ": live bytes").isEqualTo(live);
    return outputs;
  }

  private List<Argument> poisoned(double poison) {
    return arguments.stream().map(a -> a.poisoned(poison)).toList();
  }

  private void compare(
      String where, Matrix expected, Matrix actual, Matrix magnitude, Tolerance tolerance) {
    for (int r = 0; r < expected.rows(); r++) {
      for (int c = 0; c < expected.columns(); c++) {
        double e = expected.at(r, c);
        double a = actual.at(r, c);
        double size = Math.max(Math.abs(e), magnitude == null ? 0 : magnitude.at(r, c));
        boolean same = e == a || (Double.isNaN(e) && Double.isNaN(a));
        // Written so that a NaN on either side is not within the bound.
        if (!same
            && defined.at(r, c)
            && !(Math.abs(e - a) <= tolerance.bound(size, actual.type()))) {
          throw new AssertionError(
              String.format(
                  Locale.ROOT,
                  "%s[%d][%d] of %s is %s but must be %s (difference %.3g, allowed %.3g)",
                  where,
                  r,
                  c,
                  actual,
                  a,
                  e,
                  a - e,
                  tolerance.bound(size, actual.type())));
        }
      }
    }
  }

  private void compareBits(String where, Matrix first, Matrix second) {
    for (int r = 0; r < first.rows(); r++) {
      for (int c = 0; c < first.columns(); c++) {
        if (defined.at(r, c) && Double.compare(first.at(r, c), second.at(r, c)) != 0) {
          throw new AssertionError(
              where + "[" + r + "][" + c + "] was " + first.at(r, c) + ", now " + second.at(r, c));
        }
      }
    }
  }

  private void checkMisuse(Call call) {
    if (arguments.stream().anyMatch(a -> a.value().values().length > LARGEST_MISUSE)) {
      return;
    }
    for (Argument argument : arguments) {
      Matrix value = argument.value();
      if (!argument.anyShape()) {
        rejects(argument, "shape", call, scope -> place(scope, reshaped(value)));
      }
      DType other = value.type() == DType.I32 ? DType.F32 : DType.I32;
      rejects(argument, "type", call, scope -> place(scope, value.as(other)));
      rejects(argument, "backend", call, scope -> ForeignTensor.like(value));
      rejectsClosed(argument, call);
    }
  }

  private void rejects(Argument argument, String what, Call call, Replacement replacement) {
    try (TensorScope scope = backend.newScope()) {
      Map<String, Tensor> tensors = placeAll(scope);
      tensors.put(argument.name(), replacement.in(scope));
      ThrowingCallable run = () -> call.run(backend, tensors, scope);
      assertThat(catchThrowable(run))
          .as(label + ": " + argument.name() + " of a wrong " + what + seed())
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  private void rejectsClosed(Argument argument, Call call) {
    try (TensorScope scope = backend.newScope()) {
      Map<String, Tensor> tensors = placeAll(scope);
      TensorScope closed = scope.child();
      tensors.put(argument.name(), place(closed, argument.value()));
      closed.close();
      ThrowingCallable run = () -> call.run(backend, tensors, scope);
      assertThat(catchThrowable(run))
          .as(label + ": " + argument.name() + " of a closed scope" + seed())
          .isInstanceOf(IllegalStateException.class);
    }
  }

  @FunctionalInterface
  private interface Replacement {
    Tensor in(TensorScope scope);
  }

  private Map<String, Tensor> placeAll(TensorScope scope) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    arguments.forEach(a -> tensors.put(a.name(), place(scope, a.value())));
    return tensors;
  }

  private static Tensor place(TensorScope scope, Matrix value) {
    return new Argument("", value, Role.IN, true).place(scope, Placement.DENSE).tensor();
  }

  /** One row and two columns more: no multiple, and square only by accident. */
  private static Matrix reshaped(Matrix value) {
    return Matrix.filled(value.type(), value.layout(), value.rows() + 1, value.columns() + 2, 0);
  }

  private static Matrix widened(Matrix value) {
    return value.type().isReal() ? value.as(DType.F32) : value;
  }

  private String describe(Placement placement) {
    return label + ", " + placement + seed();
  }

  private static String seed() {
    return " (gptq.test.seed=" + Inputs.SEED + ")";
  }
}
