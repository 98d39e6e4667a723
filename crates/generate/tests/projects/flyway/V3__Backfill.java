public class V3__Backfill {}
