package dev.gptq.quantizer.observe;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import java.util.List;
import org.junit.jupiter.api.Test;

final class LadderTest {
  private static Unit unit(int outputs, int inputs) {
    LinearSpec module = new LinearSpec("mlp.up_proj", "up", outputs, inputs, false);
    return new Unit(
        0,
        new BlockSpec("model.layers.0.", ImmutableList.of()),
        ImmutableList.of(new Unit.Input(0, ImmutableList.of(module))),
        false);
  }

  @Test
  void smallerGroupsThenMoreBits() {
    assertThat(Ladder.above(new Precision(4, 128), unit(512, 512), Ladder.WIDTHS))
        .containsExactly(
            new Precision(4, 64),
            new Precision(4, 32),
            new Precision(8, 128),
            new Precision(8, 64),
            new Precision(8, 32));
    assertThat(Ladder.above(new Precision(2, 32), unit(512, 512), Ladder.WIDTHS))
        .containsExactly(new Precision(3, 32), new Precision(4, 32), new Precision(8, 32));
    assertThat(Ladder.above(new Precision(8, 32), unit(512, 512), Ladder.WIDTHS)).isEmpty();
  }

  @Test
  void wholeRowsAreFollowedByGroupsOf128() {
    assertThat(Ladder.above(new Precision(4, -1), unit(512, 512), Ladder.WIDTHS))
        .containsExactly(
            new Precision(4, 128),
            new Precision(4, 64),
            new Precision(4, 32),
            new Precision(8, -1),
            new Precision(8, 128),
            new Precision(8, 64),
            new Precision(8, 32));
  }

  @Test
  void otherWidthsWhereTheyAreAskedFor() {
    assertThat(Ladder.above(new Precision(4, 32), unit(512, 512), List.of(4, 5, 6)))
        .containsExactly(new Precision(5, 32), new Precision(6, 32));
  }

  /** Starts from which the ladder that this one replaces never ended. */
  @Test
  void oddStartsEnd() {
    assertThat(Ladder.above(new Precision(4, 16), unit(512, 512), Ladder.WIDTHS))
        .containsExactly(new Precision(8, 16));
    assertThat(Ladder.above(new Precision(4, 96), unit(512, 384), Ladder.WIDTHS))
        .containsExactly(new Precision(4, 48), new Precision(8, 96), new Precision(8, 48));
  }

  /** 3-bit codes of 16 inputs do not fill whole words; 32 does not divide 48 inputs. */
  @Test
  void onlyWhatAFileCanHold() {
    assertThat(Ladder.above(new Precision(2, 16), unit(64, 48), Ladder.WIDTHS))
        .containsExactly(new Precision(4, 16), new Precision(8, 16));
    assertThat(Ladder.above(new Precision(3, 96), unit(96, 96), Ladder.WIDTHS))
        .containsExactly(
            new Precision(3, 48),
            new Precision(4, 96),
            new Precision(4, 48),
            new Precision(8, 96),
            new Precision(8, 48));
  }
}
