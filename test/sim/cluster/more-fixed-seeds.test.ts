// In a file of its own, so that two processors share the work.
import { testSeeds } from './cluster-runs.ts'

testSeeds('five hundred more fixed fault scripts', [501, 500])
