package dev.gptq.quantizer.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.formats.SharedFiles;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Families;
import dev.gptq.models.gguf.GgufFamilies;
import dev.gptq.models.gguf.GgufFamily;
import java.io.IOException;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ListedWindowsTest {

  private static ModelConfig config(String name) throws IOException {
    return ModelConfig.read(SharedFiles.architecture(name));
  }

  @Test
  void layersWithoutAWindowAreNotRotated() throws IOException {
    ModelConfig config = config("k-exaone");
    GgufFamily family = GgufFamilies.find(config.modelType(), 4).getFirst();
    DecoderSpec spec = Families.describe(config);
    ListedWindows windows = ListedWindows.of(spec);
    assertThat(windows.sliding()).contains(true, false);
    assertThat(windows.size(99)).isEqualTo(config.intValue("sliding_window"));
    assertThat(windows.refusal(family, spec)).isEmpty();
    DecoderSpec all = Families.describe(ModelConfig.of(config.with(Map.of("sliding_window", 0))));
    assertThat(ListedWindows.of(all).size(99)).isEqualTo(99);
    assertThat(ListedWindows.of(all).refusal(family, all))
        .contains("positions of layer 0 are rotated");
  }

  /** The dense layer of Command before those with experts is rotated and has no window. */
  @Test
  void denseLayersMayBeRotatedAllTheSame() throws IOException {
    ModelConfig config = config("cohere2-moe");
    DecoderSpec spec = Families.describe(config);
    GgufFamily command = GgufFamilies.find(config.modelType(), 4).getFirst();
    assertThat(ListedWindows.of(spec).layers().getFirst()).isZero();
    assertThat(ListedWindows.of(spec).refusal(command, spec)).isEmpty();
    GgufFamily other = GgufFamilies.find("exaone_moe", 4).getFirst();
    assertThat(ListedWindows.of(spec).refusal(other, spec)).isPresent();
  }

  @Test
  void queriesGrowByWhatTheConfigurationSays() throws IOException {
    assertThat(Temperature.of(Families.describe(config("ministral3")))).isPresent();
    assertThat(Temperature.of(Families.describe(config("k-exaone")))).isEmpty();
  }
}
