package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.SharedFiles;
import dev.gptq.models.Model;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.Quality;
import dev.gptq.quantizer.pipeline.Target;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class CurvatureChoiceTest {

  @Test
  void aPresetGivesWayWhereGradientsCannotBeTaken() throws IOException {
    List<String> notes = new ArrayList<>();
    try (Model model = Model.open(SharedFiles.architecture("qwen3-next"))) {
      assertThat(CurvatureChoice.of(model.spec(), Optional.empty(), Curvature.KL, notes::add))
          .isEqualTo(Curvature.INPUTS);
      assertThat(notes)
          .containsExactly(
              "gradients of %s models cannot be taken: there is no derivative of convolutions yet;"
                      .formatted(model.spec().family())
                  + " curvature of the inputs only");
      assertThatThrownBy(() ->
              CurvatureChoice.of(
                  model.spec(), Optional.of(Curvature.TOKENS), Curvature.INPUTS, notes::add))
          .isInstanceOf(RequestException.class)
          .hasMessageContaining("--curvature tokens needs gradients")
          .hasMessageContaining("convolutions");
    }
  }

  @Test
  void aBudgetIsMeasuredWhereGradientsCannotBeTaken() throws IOException {
    List<String> notes = new ArrayList<>();
    Observing budget = new Observing.Budget(4.6);
    try (Model dense = Model.open(SharedFiles.architecture("llama-gqa-rope3"));
        Model recurrent = Model.open(SharedFiles.architecture("qwen3-next"))) {
      assertThat(BudgetChoice.of(budget, dense.spec(), Target.PLAIN, notes::add)).isEqualTo(budget);
      assertThat(notes).isEmpty();
      assertThat(BudgetChoice.of(budget, recurrent.spec(), Target.PLAIN, notes::add))
          .isEqualTo(new Observing.MeasuredBudget(4.6, ImmutableList.of()));
      assertThat(notes).singleElement().asString().contains("convolutions yet", "and measures");
      assertThatThrownBy(
              () -> BudgetChoice.of(budget, recurrent.spec(), Quality.BEST.target(), notes::add))
          .isInstanceOf(RequestException.class)
          .hasMessageContaining("add --target plain");
    }
  }

  @Test
  void expertsGoByTheirInputs() throws IOException {
    List<String> notes = new ArrayList<>();
    try (Model model = Model.open(SharedFiles.architecture("mixtral"))) {
      assertThat(CurvatureChoice.of(model.spec(), Optional.empty(), Curvature.KL, notes::add))
          .isEqualTo(Curvature.KL);
      assertThat(notes).containsExactly("experts go by the curvature of their inputs");
    }
  }

  @Test
  void whatWasAskedForComesBeforeThePreset() throws IOException {
    List<String> notes = new ArrayList<>();
    try (Model model = Model.open(SharedFiles.architecture("llama-gqa-rope3"))) {
      assertThat(
              CurvatureChoice.of(
                  model.spec(), Optional.of(Curvature.INPUTS), Curvature.KL, notes::add))
          .isEqualTo(Curvature.INPUTS);
      assertThat(CurvatureChoice.of(model.spec(), Optional.empty(), Curvature.KL, notes::add))
          .isEqualTo(Curvature.KL);
      assertThat(notes).isEmpty();
    }
  }
}
