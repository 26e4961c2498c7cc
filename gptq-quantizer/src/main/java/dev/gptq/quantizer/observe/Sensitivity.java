package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.evaluation.Predictions;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.Block;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * How much the predictions of the full-precision model suffer from the errors of one unit: the
 * relative error of a layer does not say, since layers differ in what the model makes of their
 * outputs. For small errors the KL divergence grows with their mean square, so that one measurement
 * a unit serves for all settings.
 */
public final class Sensitivity implements AutoCloseable {
  private static final int MOST_WINDOWS = 8;
  private static final int MOST_TOKENS = 512;

  /** Logits of a measurement, which a large vocabulary reaches with few windows. */
  private static final long LOGITS = 1L << 27;

  private final Backend backend;
  private final Decoder decoder;
  private final Predictions predictions;

  /**
   * Loads the full-precision model and runs it.
   *
   * @param windows the beginnings of the first few are used
   */
  public Sensitivity(
      Backend backend, DecoderSpec spec, WeightSource source, ImmutableList<int[]> windows) {
    this.backend = backend;
    this.decoder = new Decoder(backend, spec, source);
    int length = Math.min(MOST_TOKENS, windows.getFirst().length);
    long fit = LOGITS / spec.vocabulary() / length;
    this.predictions =
        Predictions.of(
            decoder,
            windows.stream()
                .limit(Math.clamp(fit, 1, MOST_WINDOWS))
                .map(window -> Arrays.copyOf(window, length))
                .collect(ImmutableList.toImmutableList()));
  }

  /** The mean KL divergence over the windows when these modules of a unit alone are quantized. */
  double divergence(Unit unit, Map<String, QuantizedModule> modules) {
    Block block = decoder.block(unit.block());
    List<LinearSpec> changed = unit.modules().toList();
    try (TensorScope scope = backend.newScope()) {
      List<Tensor> originals =
          changed.stream().map(module -> copy(block.dense(module), scope)).toList();
      for (LinearSpec module : changed) {
        block.substitute(module, modules.get(unit.spec().nameOf(module)).packed());
      }
      double divergence = predictions.divergence(decoder);
      for (int i = 0; i < changed.size(); i++) {
        backend.linalg().convert(originals.get(i), block.dense(changed.get(i)));
      }
      return divergence;
    }
  }

  private Tensor copy(Tensor weight, TensorScope scope) {
    Tensor copy = scope.rowMajor(weight.type(), weight.rows(), weight.columns());
    backend.linalg().convert(weight, copy);
    return copy;
  }

  @Override
  public void close() {
    predictions.close();
    decoder.close();
  }
}
