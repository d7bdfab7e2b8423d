"""Where training frames come from: folders and tar files of several data sets, mixed and put into batches."""
