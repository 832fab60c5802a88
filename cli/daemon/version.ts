// What this program is and understands.

export const version = '0.1.0'
/** Highest feature level: fields, tables and change kinds this program knows. Raised with each new one. */
export const featureLevel = 1
