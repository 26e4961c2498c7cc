package dev.gptq.quantizer.observe;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.formats.packed.ModuleOverride;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

final class DynamicRulesTest {
  private static final Path TINY = SharedFiles.bundled("examples/tiny");
  private static final ModuleSettings BASE = new ModuleSettings(4, 128, true, false);

  private static GptqConfig config(
      DecoderSpec spec, Predicate<String> selected, Function<String, Precision> precision) {
    ImmutableList.Builder<ModuleReport> reports = ImmutableList.builder();
    for (BlockSpec block : spec.blocks()) {
      block
          .linears()
          .filter(linear -> selected.test(block.nameOf(linear)))
          .forEach(linear -> {
            String name = block.nameOf(linear);
            Precision own = precision.apply(name);
            reports.add(
                new ModuleReport(
                    0,
                    linear.module(),
                    name,
                    linear.outputs(),
                    linear.inputs(),
                    own.bits(),
                    own.groupSize(),
                    true,
                    1,
                    1,
                    1,
                    1,
                    0.01,
                    9,
                    "",
                    1));
          });
    }
    ImmutableMap<String, ModuleOverride> rules = DynamicRules.of(spec, reports.build(), BASE);
    return GptqConfig.of(BASE, GptqConfig.Version.V1).withDynamic(rules);
  }

  private static Precision precision(GptqConfig config, String module) {
    ModuleSettings settings = config.settingsFor(module).orElseThrow();
    return settings.precision();
  }

  @Test
  void eachModuleAndTheLayersThatLoadersFuseGetTheirSettings() throws IOException {
    Precision eight = new Precision(8, 128);
    Precision base = new Precision(4, 128);
    Precision finer = new Precision(4, 32);
    Function<String, Precision> chosen =
        name ->
            name.matches("model[.]layers[.][15][.]self_attn[.][qkv]_proj")
                ? eight
                : name.matches("model[.]layers[.]1[.]mlp[.](gate|up)_proj|.*0.mlp.down_proj")
                    ? finer
                    : base;
    try (Model model = Model.open(TINY)) {
      GptqConfig config = config(model.spec(), name -> true, chosen);
      assertThat(config.dynamic()).hasSize(3);
      for (BlockSpec block : model.spec().blocks()) {
        block
            .linears()
            .map(block::nameOf)
            .forEach(name -> assertThat(precision(config, name)).isEqualTo(chosen.apply(name)));
      }
      assertThat(precision(config, "model.layers.5.self_attn.qkv_proj")).isEqualTo(eight);
      assertThat(precision(config, "model.layers.1.mlp.gate_up_proj")).isEqualTo(finer);
      assertThat(precision(config, "model.layers.15.self_attn.q_proj")).isEqualTo(base);
      assertThat(precision(config, "model.layers.5.self_attn.q_proj.x")).isEqualTo(base);
    }
  }

  @Test
  void modulesThatWereLeftOutAreSkipped() throws IOException {
    try (Model model = Model.open(TINY)) {
      GptqConfig config =
          config(
              model.spec(),
              name -> !name.startsWith("model.layers.2.mlp"),
              name -> new Precision(4, 128));
      assertThat(config.dynamic().keySet()).allMatch(rule -> rule.startsWith("-:"));
      assertThat(config.settingsFor("model.layers.2.mlp.gate_proj")).isEmpty();
      assertThat(config.settingsFor("model.layers.2.mlp.gate_up_proj")).isEmpty();
      assertThat(config.settingsFor("model.layers.2.mlp.down_proj")).isEmpty();
      assertThat(config.settingsFor("model.layers.2.self_attn.q_proj")).isPresent();
      assertThat(config.settingsFor("model.layers.3.mlp.down_proj")).isPresent();
    }
  }

  @Test
  void withoutDifferencesThereAreNoRules() throws IOException {
    try (Model model = Model.open(TINY)) {
      assertThat(config(model.spec(), name -> true, name -> new Precision(4, 128)).dynamic())
          .isEmpty();
    }
  }

  @Test
  void allExpertsOfABlockAreOneUnitAndOneRule() throws IOException {
    for (String family : new String[] {"mixtral", "qwen3-moe"}) {
      try (Model model = Model.open(SharedFiles.architecture(family))) {
        assertThat(Unit.of(model.spec(), name -> true).stream().filter(Unit::experts))
            .hasSize(model.spec().blocks().size());
        Precision eight = new Precision(8, 128);
        Predicate<String> second =
            Pattern.compile("model[.]layers[.]1[.].*experts[.]").asPredicate();
        GptqConfig config =
            config(
                model.spec(),
                name -> true,
                name -> second.test(name) ? eight : new Precision(4, 128));
        assertThat(config.dynamic()).hasSize(1);
        Optional<String> expert =
            model
                .spec()
                .blocks()
                .get(1)
                .linears()
                .map(model.spec().blocks().get(1)::nameOf)
                .filter(second)
                .findFirst();
        assertThat(precision(config, expert.orElseThrow())).isEqualTo(eight);
        String whole = expert.get().replaceFirst("[.]experts[.].*", ".experts");
        assertThat(precision(config, whole)).isEqualTo(eight);
        assertThat(precision(config, whole.replace("layers.1.", "layers.0.")))
            .isEqualTo(new Precision(4, 128));
        assertThat(precision(config, "model.layers.1.self_attn.qkv_proj"))
            .isEqualTo(new Precision(4, 128));
      }
    }
  }
}
