import type { LabReport } from './report.ts';
import type { RunRecord } from './results.ts';
export function reportHtml(report: LabReport, _records: readonly RunRecord[]): string {
  return report.plan;
}
