package dev.gptq.bench;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/** What the invocations achieved, by convention of the field; JMH divides by the seconds. */
@AuxCounters(AuxCounters.Type.OPERATIONS)
@State(Scope.Thread)
public class Work {
  /** Thousand million floating-point operations, multiplications and additions both counted. */
  public double gflops;

  /** Thousand million bytes read: packed weights, or whatever is being measured. */
  public double gbytes;
}
