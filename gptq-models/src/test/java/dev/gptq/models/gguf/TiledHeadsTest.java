package dev.gptq.models.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.formats.json.JsonConfig;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Families;
import dev.gptq.models.family.TinyConfigs;
import java.nio.file.Path;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class TiledHeadsTest {
  /** Two heads of keys with three of values each, of two rows, behind one row. */
  @Test
  void theFirstHeadsOfAllKeysComeFirst() {
    TiledHeads heads = new TiledHeads(1, 2, 3, 2);
    int[] rows = IntStream.range(0, 13).map(heads::inCheckpoint).toArray();
    assertThat(rows).containsExactly(0, 1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12);
    assertThat(IntStream.of(rows).map(heads::inFile))
        .containsExactly(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    assertThat(heads.fits(13)).isTrue();
    assertThat(heads.fits(12)).isFalse();
  }

  /** Queries and keys of a fused projection stay in front of the values. */
  @Test
  void tensorsHaveHeadsInRowsOrColumns() {
    StateShape shape = new StateShape(4, 6, 8, 8, 2, false);
    assertThat(TiledHeads.rows("attn_qkv", shape)).contains(new TiledHeads(32, 2, 3, 8));
    assertThat(TiledHeads.rows("ssm_beta", shape)).contains(new TiledHeads(0, 2, 3, 1));
    assertThat(TiledHeads.columns("ssm_out", shape)).contains(new TiledHeads(0, 2, 3, 8));
    assertThat(TiledHeads.rows("ssm_out", shape)).isEmpty();
  }

  @Test
  void shapesAreThoseOfTheSteps() {
    assertThat(shape("nemotron-h")).isEqualTo(new StateShape(4, 8, 8, 8, 2, true));
    assertThat(shape("qwen3-next")).isEqualTo(new StateShape(4, 4, 8, 8, 2, false));
    assertThat(shape("nemotron-h").inFile("ssm_norm", 64)).containsExactly(2L, 32L);
    assertThat(shape("qwen3-next").inFile("ssm_a", 4)).containsExactly(4L);
  }

  private static StateShape shape(String name) {
    ModelConfig config =
        ModelConfig.of(JsonConfig.of(Path.of(ModelConfig.FILE), TinyConfigs.json(name)));
    return StateShape.of(Families.describe(config)).orElseThrow();
  }
}
