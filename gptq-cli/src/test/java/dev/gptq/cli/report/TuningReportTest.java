package dev.gptq.cli.report;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.quantizer.tune.TuningOutcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class TuningReportTest {
  private static final TuningOutcome OUTCOME =
      new TuningOutcome(
          0.003,
          ImmutableList.of(
              new TuningOutcome.Look(0, Double.NaN, 0.5),
              new TuningOutcome.Look(25, 0.75, 0.25),
              new TuningOutcome.Look(50, 0.125, 0.375)),
          1000,
          0,
          2000,
          1);

  @Test
  void bothCurvesAreInThePageWithWhatDrawsThem(@TempDir Path folder) throws IOException {
    HtmlPage page = new HtmlPage("run");
    TuningReport.addTo(page, OUTCOME);
    String html = Files.readString(page.write(folder));
    assertThat(html)
        .contains("<h2>Tuning</h2>", "took KL on held-out text from 0.5000 to 0.2500")
        .contains("<div class=\"curves\"><script type=\"application/json\">")
        .contains("\"at\":[0,25,50]", "\"mark\":25")
        .contains("\"text it was tuned with\":[null,0.75,0.125]")
        .contains("\"text held out\":[0.5,0.25,0.375]")
        .contains("querySelectorAll('.curves')", "uPlot");
  }
}
