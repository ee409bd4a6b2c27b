/** Where gateways stand: one at the source alone, or one at each end of the link. */
export type Arrangement = 'single' | 'paired';
