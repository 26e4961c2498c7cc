package dev.gptq.quantizer.run;

import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.forward.Derivatives;
import dev.gptq.quantizer.pipeline.Target;
import java.util.Optional;
import java.util.function.Consumer;

/** How a budget of bits is spent. */
final class BudgetChoice {
  private BudgetChoice() {}

  /**
   * By gradients, unless the model has none.
   *
   * @param target of the run
   * @param notes hears why it is not by gradients
   * @throws RequestException if the target does not go with what is done then
   */
  static Observing of(Observing asked, DecoderSpec spec, Target target, Consumer<String> notes) {
    if (!(asked instanceof Observing.Budget budget)) {
      return asked;
    }
    Optional<String> missing = Derivatives.missing(spec);
    if (missing.isEmpty()) {
      return asked;
    }
    String why =
        "gradients of %s models cannot be taken: there is no derivative of %s yet"
            .formatted(spec.family(), missing.get());
    if (target.kind() != Target.Kind.PLAIN) {
      throw new RequestException(
          "--target-bpw goes by gradients, and %s; without them it compares with the weights themselves, and --target %s lets them drift on purpose; add --target plain"
              .formatted(why, target.kind().id()));
    }
    notes.accept(
        why
            + "; so that --target-bpw quantizes every layer alone with every setting and measures,"
            + " which takes longer");
    return new Observing.MeasuredBudget(budget.bits(), budget.widths());
  }
}
