package dev.gptq.backend;

import com.google.common.base.Throwables;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.Arrays;

/** Counts what the operations that pass through it have to do. */
final class WorkCounter {
  /** Candidates of the MSE search. */
  private static final int MSE_TRIALS = 80;

  private Work done = Work.NONE;

  /** All work so far. */
  Work done() {
    return done;
  }

  /** Counts work that is not done. */
  void add(Work more) {
    done = done.plus(more);
  }

  /** Operations that are counted and passed on. */
  <T> T counted(Class<T> operations, T delegate) {
    return operations.cast(
        Proxy.newProxyInstance(
            operations.getClassLoader(),
            new Class<?>[] {operations},
            (proxy, method, arguments) -> {
              done = done.plus(work(method.getName(), arguments));
              try {
                return method.invoke(delegate, arguments);
              } catch (InvocationTargetException e) {
                Throwables.throwIfUnchecked(e.getCause());
                throw e;
              }
            }));
  }

  /** By the name of an operation; letters as in its description. */
  private static Work work(String operation, Object[] a) {
    return switch (operation) {
      case "gemm" -> products(a[1], elements(a[1]) * columns(a[2]));
      case "gemmBatch" -> products(a[2], elements(a[2]) * columnsOfPart(a[3], (int) a[0]));
      // One half of symmetric matrices.
      case "accumulateGram" -> products(a[1], elements(a[1]) * columns(a[1]) / 2);
      case "addTraceQuadratic" -> products(a[0], elements(a[0]) * columns(a[0]) / 2);
      case "cholesky" -> products(a[0], elements(a[0]) * columns(a[0]) / 6);
      case "invertDiagonalBlocks" -> products(a[1], elements(a[1]) * columns(a[1]) / 6);
      case "attention" -> products(a[0], elements(a[0]) * rows(a[1]) / sequences(a));
      case "quantizeBlock", "beamBlock" -> Work.steps(elements(a[0]) * columns(a[0]) / 2);
      case "descendBlock" -> Work.steps(elements(a[0]) * columns(a[0]));
      case "deltaRule" -> Work.steps(3 * elements(a[0]) * columns(a[5]));
      case "stateSpace" -> Work.steps(3 * elements(a[0]) * columns(a[5]));
      case "refitScales" -> Work.steps(elements(a[0]) * columns(a[1]) / 3);
      case "candidateGrid" -> Work.trials(elements(a[0]));
      case "fitGrid", "fitGroups" ->
          Work.trials(
              elements(a[0]) * (((GridSpec) a[1]).search() == GridSearch.MSE ? MSE_TRIALS : 1));
      case "fitGridWeighted" -> Work.trials(elements(a[0]) * ((GridLadder) a[3]).rungs().size());
      default ->
          Work.moved(
              Arrays.stream(a)
                  .filter(Tensor.class::isInstance)
                  .mapToDouble(tensor -> ((Tensor) tensor).byteSize())
                  .sum());
    };
  }

  private static Work products(Object x, double multiplyAdds) {
    return Work.products(((Tensor) x).type() == DType.F32, multiplyAdds);
  }

  /** The last but one argument of attention. */
  private static int sequences(Object[] arguments) {
    return (int) arguments[arguments.length - 2];
  }

  private static double columnsOfPart(Object x, int count) {
    return ((Tensor) x).layout() == Layout.ROW_MAJOR ? columns(x) : columns(x) / count;
  }

  private static double elements(Object x) {
    return ((Tensor) x).elements();
  }

  private static double rows(Object x) {
    return ((Tensor) x).rows();
  }

  private static double columns(Object x) {
    return ((Tensor) x).columns();
  }
}
