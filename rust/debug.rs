// SPDX-License-Identifier: GPL-2.0

//! A developer's view in debugfs: how full clusters are, and of what.

use crate::{
    kernel_ext::{
        debugfs::{Directory, File, Show},
        sparse_array::Pinned,
    },
    logic::entry::{Entry, Form, Redirect},
    pool::Pool,
    table::Cluster,
};
use kernel::{seq_file::SeqFile, seq_print, sync::Arc};

/// The file `clusters` in `directory`: a line for each cluster of each area of `pool`.
///
/// Context: may sleep.
pub(crate) fn clusters(directory: &Arc<Directory>, pool: Arc<Pool>) -> File<Pool> {
    File::new(directory, c"clusters", pool)
}

impl Show for Pool {
    fn show(&self, out: &SeqFile) {
        seq_print!(out, "area cluster live same cached raw\n");
        for (area, table) in self.tables().all() {
            table.for_each_cluster(|cluster| show_cluster(area, &cluster, out));
        }
    }
}

fn show_cluster(area: usize, cluster: &Pinned<'_, Cluster>, out: &SeqFile) {
    let (mut same, mut cached, mut raw) = (0, 0, 0);
    for slot in cluster.slots() {
        match slot.peek() {
            Entry::Free => (),
            Entry::Same { .. } => same += 1,
            Entry::Cached { form, .. } | Entry::Redirected(Redirect { form, .. }) => match form {
                Form::Packed(_) => cached += 1,
                Form::Whole => raw += 1,
                Form::Fill => same += 1,
            },
        }
    }
    seq_print!(
        out,
        "{area} {} {} {same} {cached} {raw}\n",
        cluster.index(),
        cluster.uses()
    );
}
