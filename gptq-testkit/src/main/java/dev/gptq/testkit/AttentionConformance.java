package dev.gptq.testkit;

import static dev.gptq.tensor.DType.F32;
import static dev.gptq.tensor.Layout.ROW_MAJOR;

import dev.gptq.backend.AttentionSpec;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What {@link dev.gptq.backend.TransformerOps#attention} promises. */
public abstract class AttentionConformance extends Conformance {

  /** For subclasses. */
  protected AttentionConformance() {}

  private static AttentionSpec spec(int heads, int keyValueHeads, int headSize) {
    float scale = (float) (1 / Math.sqrt(headSize));
    return new AttentionSpec(heads, keyValueHeads, headSize, scale, 0, 0, false);
  }

  private static AttentionSpec windowed(AttentionSpec s, int window) {
    return new AttentionSpec(
        s.heads(), s.keyValueHeads(), s.headSize(), s.scale(), window, s.softCap(), s.alibi());
  }

  private static AttentionSpec capped(AttentionSpec s, float cap) {
    return new AttentionSpec(
        s.heads(), s.keyValueHeads(), s.headSize(), s.scale(), s.window(), cap, s.alibi());
  }

  private static AttentionSpec withAlibi(AttentionSpec s, float alibi) {
    return new AttentionSpec(
        s.heads(), s.keyValueHeads(), s.headSize(), s.scale(), s.window(), s.softCap(), alibi);
  }

  @Test
  void everyLength() {
    for (int length : Shapes.VECTOR) {
      attention(spec(2, 2, 16), length, length, 1);
    }
  }

  @Test
  void everyHeadSize() {
    for (int size : new int[] {1, 2, 7, 8, 20, 33, 64, 80, 96, 128}) {
      attention(spec(2, 1, size), 9, 9, 1);
    }
  }

  /** As the layers of Gemma 4 that see the whole text have. */
  @Test
  void wideHeads() {
    attention(spec(1, 1, 260), 3, 3, 1);
    attention(windowed(capped(spec(2, 1, 512), 5), 20), 18, 40, 1, Optional.of(1.0));
  }

  @Test
  void sharedKeysAndValues() {
    attention(spec(4, 1, 16), 11, 11, 1);
    attention(spec(6, 2, 8), 11, 11, 2);
    attention(spec(9, 3, 20), 17, 17, 1);
  }

  @Test
  void severalSequences() {
    attention(spec(2, 2, 8), 5, 5, 3);
    attention(spec(4, 2, 16), 1, 1, 7);
    attention(spec(3, 1, 24), 33, 33, 2);
  }

  @Test
  void fewerQueriesThanKeys() {
    attention(spec(4, 2, 16), 1, 17, 1);
    attention(spec(4, 2, 16), 3, 130, 1);
    attention(spec(2, 2, 8), 2, 9, 3);
    attention(spec(8, 2, 64), 1, 129, 1);
  }

  /** As text is generated: every row is the last position of a sequence. */
  @Test
  void oneQuery() {
    for (int size : new int[] {1, 7, 8, 20, 33, 64, 80, 96, 128}) {
      attention(spec(2, 1, size), 1, 70, 1);
    }
    for (int keys : new int[] {1, 2, 63, 64, 65, 128, 129, 200}) {
      attention(spec(4, 2, 16), 1, keys, 3);
    }
    for (int window : new int[] {1, 5, 64, 65, 500}) {
      attention(windowed(spec(2, 1, 16), window), 1, 140, 2);
    }
    attention(capped(spec(4, 2, 16), 0.5f), 1, 100, 1);
    attention(withAlibi(spec(6, 3, 8), 1), 1, 100, 1);
    attention(windowed(capped(withAlibi(spec(6, 3, 20), 1), 10), 70), 1, 150, 3);
    attention(new AttentionSpec(2, 1, 16, 25f, 0, 0, false), 1, 150, 1);
  }

  @Test
  void window() {
    for (int window : new int[] {1, 2, 5, 16, 100}) {
      attention(windowed(spec(2, 1, 16), window), 19, 19, 1);
      attention(windowed(spec(2, 2, 8), window), 3, 40, 2);
    }
  }

  @Test
  void softCap() {
    attention(capped(spec(4, 2, 16), 5), 17, 17, 1);
    attention(capped(spec(2, 2, 8), 0.5f), 2, 33, 2);
  }

  @Test
  void alibi() {
    for (int heads : new int[] {1, 4, 6, 12}) {
      attention(withAlibi(spec(heads, heads, 8), 1), 21, 21, 1);
    }
    attention(withAlibi(spec(4, 2, 16), 0.25f), 2, 33, 2);
  }

  @Test
  void everythingTogether() {
    attention(windowed(capped(withAlibi(spec(6, 3, 20), 1), 10), 7), 5, 31, 2);
  }

  /** One more score for each head, below, among and above those of the keys. */
  @Test
  void sinks() {
    attention(spec(4, 2, 16), 17, 17, 2, Optional.of(0.0));
    attention(spec(2, 1, 64), 9, 9, 1, Optional.of(3.0));
    attention(spec(2, 1, 16), 70, 300, 1, Optional.of(-1.0));
    attention(windowed(spec(4, 1, 8), 5), 40, 40, 1, Optional.of(1.0));
    attention(windowed(spec(4, 2, 16), 70), 1, 150, 3, Optional.of(2.0));
    attention(spec(6, 2, 20), 1, 1, 2, Optional.of(0.5));
    attention(windowed(capped(withAlibi(spec(6, 3, 20), 1), 10), 7), 5, 31, 2, Optional.of(1.0));
  }

  /** Scores far apart: one key takes all the weight, and no exponential overflows. */
  @Test
  void largeScores() {
    AttentionSpec spec = new AttentionSpec(2, 1, 16, 25f, 0, 0, false);
    attention(spec, 13, 13, 1);
  }

  private void attention(AttentionSpec spec, int queries, int keys, int sequences) {
    attention(spec, queries, keys, sequences, Optional.empty());
  }

  private void attention(
      AttentionSpec spec, int queries, int keys, int sequences, Optional<Double> sink) {
    Optional<Matrix> sinks = sink.map(mean -> inputs().normal(F32, 1, spec.heads(), mean, 1));
    int width = spec.heads() * spec.headSize();
    int keyWidth = spec.keyValueHeads() * spec.headSize();
    Matrix q = inputs().normal(activation(), ROW_MAJOR, sequences * queries, width);
    Matrix k = inputs().normal(activation(), ROW_MAJOR, sequences * keys, keyWidth);
    Matrix v = inputs().normal(activation(), ROW_MAJOR, sequences * keys, keyWidth);
    Operation.Call call =
        (backend, t, scope) ->
            backend
                .transformer()
                .attention(
                    t.get("q"),
                    t.get("k"),
                    t.get("v"),
                    spec,
                    sinks.map(s -> t.get("sinks")),
                    sequences,
                    t.get("y"));
    Matrix magnitude =
        operation(spec, queries, keys, sequences, q, k, v.abs(), sinks).expect(call).get("y");
    double score =
        Definitions.scoreMagnitude(q, k, spec, keys) + sinks.map(Definitions::largest).orElse(0.0);
    operation(spec, queries, keys, sequences, q, k, v, sinks)
        .isWithin(Tolerance.attention(spec.headSize(), keys, score), magnitude, call);
    backend()
        .transformer()
        .keptType(spec, sinks.isPresent())
        .ifPresent(type ->
            operation(spec, queries, keys, sequences, q, k.as(type), v.as(type), sinks)
                .isWithin(Tolerance.attention(spec.headSize(), keys, score), magnitude, call));
  }

  private Operation operation(
      AttentionSpec spec,
      int queries,
      int keys,
      int sequences,
      Matrix q,
      Matrix k,
      Matrix v,
      Optional<Matrix> sinks) {
    String label =
        "%s, %d of %d queries, %d keys%s"
            .formatted(spec, sequences, queries, keys, sinks.isPresent() ? ", sinks" : "");
    Operation operation = activations(label).in("q", q).in("k", k).in("v", v);
    return sinks
        .map(s -> operation.in("sinks", s))
        .orElse(operation)
        .out("y", activation(), ROW_MAJOR, q.rows(), q.columns());
  }
}
